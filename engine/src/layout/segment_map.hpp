// SPDX-License-Identifier: Apache-2.0
// The segment map: layout and memory together. It finds what lies where in a segment, for the processes of
// the pipeline as well as for an observer, who has nothing but these two.
//
// What it hands out are views: a process may read all of them, and the MMU lets it write its own alone. What
// a peer has written there is a claim, to be checked.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <sluice/detail/assert.hpp>
#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/counters.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/page_stamps.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/ipc/undo.hpp>

#include "death/crash_note.hpp"
#include "layout/control_plane.hpp"
#include "layout/latency.hpp"
#include "layout/layout.hpp"

namespace sluice::detail {

// The parts of one process's region.
class ProcessMemory {
 public:
  ProcessMemory(const ProcessLayout& layout, std::byte* base) noexcept
      : layout_{&layout},
        base_{base},
        cursors_{reinterpret_cast<std::atomic<std::uint64_t>*>(base + layout.cursors), layout.cursor_words},
        counters_{reinterpret_cast<ipc::Counters*>(base + layout.counters)} {}

  const ProcessLayout& layout() const noexcept { return *layout_; }
  const std::string& name() const noexcept { return layout_->name; }

  ipc::Control& control() const noexcept { return *reinterpret_cast<ipc::Control*>(base_); }
  std::span<std::atomic<std::uint64_t>> cursors() const noexcept { return cursors_; }
  ipc::CommitHeader& commit() const noexcept { return at<ipc::CommitHeader>(layout_->commit); }
  std::span<ipc::RedoEntry> record() const noexcept {
    return {&at<ipc::RedoEntry>(layout_->record), (layout_->undo - layout_->record) / sizeof(ipc::RedoEntry)};
  }
  ipc::UndoHeader& undo() const noexcept { return at<ipc::UndoHeader>(layout_->undo); }
  std::span<std::byte> undo_entries() const noexcept {
    return {base_ + layout_->entries, layout_->undo_bytes};
  }
  std::span<std::byte> state() const noexcept { return {base_ + layout_->state, layout_->state_bytes}; }
  std::span<ipc::PageStamp> page_stamps() const noexcept {
    return {reinterpret_cast<ipc::PageStamp*>(base_ + layout_->page_stamps),
            ipc::page_stamps_for(layout_->state_bytes)};
  }
  ipc::Counters& counters() const noexcept { return *counters_; }
  // Of its lane out of that number.
  LaneStamps& stamps(std::size_t ring) const noexcept {
    return at<LaneStamps>(layout_->stamps + ring * sizeof(LaneStamps));
  }

 protected:
  friend class SegmentMap;
  template <class T>
  bool has_room_for(std::size_t offset) const noexcept {
    return offset % alignof(T) == 0 && offset + sizeof(T) <= layout_->plain_bytes;
  }
  // The segment starts as zeros, which are valid values of all types that lie in it.
  template <class T>
  T& at(std::size_t offset) const noexcept {
    SLUICE_ASSERT(has_room_for<T>(offset));
    return *reinterpret_cast<T*>(base_ + offset);
  }

 private:
  const ProcessLayout* layout_;
  std::byte* base_;
  std::span<std::atomic<std::uint64_t>> cursors_;
  ipc::Counters* counters_;
};

// The same of a worker, and what the master knows of it.
class WorkerMemory : public ProcessMemory {
 public:
  WorkerMemory(const ProcessMemory& process, WorkerEntry& entry) noexcept
      : ProcessMemory{process}, entry_{&entry} {}

  Latencies& latencies() const noexcept { return at<Latencies>(layout().latencies); }
  CrashNote& crash_note() const noexcept { return at<CrashNote>(layout().extra); }
  WorkerEntry& entry() const noexcept { return *entry_; }  // In the master's region.

 private:
  WorkerEntry* entry_;
};

// Of one inlet or outlet of the host: where it commits, and where it says that it sleeps.
struct EndMemory {
  ipc::Control& control;
  ipc::CommitHeader& commit;
  ipc::UndoHeader& undo;
  std::span<ipc::RedoEntry> record;
  std::uint64_t count_word;  // Of the host's cursors.
};

class SegmentMap {
 public:
  // Both must outlive it.
  SegmentMap(const Layout& layout, const ipc::Segment& segment) noexcept
      : layout_{layout}, segment_{segment} {}

  const Layout& layout() const noexcept { return layout_; }
  const ipc::Segment& memory() const noexcept { return segment_; }
  Indices<ProcessIndex> processes() const noexcept { return layout_.processes.indices(); }
  Indices<WorkerIndex> workers() const noexcept { return layout_.workers(); }
  Indices<LaneIndex> lanes() const noexcept { return layout_.lanes.indices(); }
  const std::string& name(ProcessIndex process) const noexcept { return layout_.processes[process].name; }
  const std::string& name(WorkerIndex worker) const noexcept { return name(process_of(worker)); }

  ProcessMemory process(ProcessIndex process) const noexcept {
    return {layout_.processes[process], segment_.plain(process.value()).data()};
  }
  WorkerMemory worker(WorkerIndex worker) const noexcept {
    return {process(process_of(worker)), entry(worker)};
  }
  ProcessMemory host() const noexcept { return process(kHostProcess); }
  // Its ring is there once Wiring::map_lane() was called; for who looks at it from outside it is ring().
  ipc::LaneMemory lane(LaneIndex lane) const noexcept;
  std::span<std::byte> ring(LaneIndex lane) const noexcept;
  LaneStamps& stamps(LaneIndex lane) const noexcept {
    const LaneLayout& parts = layout_.lanes[lane];
    return process(parts.producer).stamps(parts.ring);
  }
  EndMemory end(NodeIndex inlet_or_outlet) const noexcept;

  Requests& requests() const noexcept;      // Of the host.
  MasterRegister& master() const noexcept;  // Of the master, with the entries of the workers.
  WorkerEntry& entry(WorkerIndex worker) const noexcept;
  // Of the master: what of a lane its consumer may read, if that has to wait for checkpoints (Wiring::gate_of).
  std::atomic<std::uint64_t>& released(LaneIndex lane) const noexcept;
  // Of the master: how many commits of the worker the last published checkpoint holds, and how many events of an end.
  std::atomic<std::uint64_t>& checkpointed(WorkerIndex worker) const noexcept;
  std::atomic<std::uint64_t>& checkpointed(NodeIndex inlet_or_outlet) const noexcept;
  // Not 0 once the process is shed; nullptr for those that never are, host and master.
  const std::atomic<std::uint32_t>* shed_word(ProcessIndex process) const noexcept;

 private:
  std::size_t place_of(NodeIndex inlet_or_outlet) const noexcept;
  std::atomic<std::uint64_t>& master_word(std::size_t offset, std::size_t index) const noexcept;

  const Layout& layout_;
  const ipc::Segment& segment_;
};

}  // namespace sluice::detail
