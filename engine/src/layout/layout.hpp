// SPDX-License-Identifier: Apache-2.0
// The layout: which process has which region, where in it everything lies, and which lanes join whom.
//
// A plain value computed before anything starts, the same in every process because they inherit it by fork.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sluice/graph.hpp>
#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/counters.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/ipc/undo.hpp>
#include <sluice/settings.hpp>

#include "death/death.hpp"

namespace sluice::detail {

// Words at the front of every cursor area; the commit moves them with the cursors.
enum FixedWord : std::uint64_t {
  kEventsIn = 0,
  kEventsOut = 1,
  kFinished = 2,
  kDeadLetters = 3,
  kRetried = 4
};
inline constexpr std::uint64_t kFixedWords = 16;  // One line of 128 bytes.

inline constexpr std::size_t kHostProcess = 0;
inline constexpr std::size_t kMasterProcess = 1;
inline constexpr std::size_t kFirstWorker = 2;

// The progress word has 16 bits for the lane that an event came from. The last two values stand for what came
// from none: a dead letter that is retried, and the last word.
inline constexpr std::size_t kMostLanesIn = 0xfffe;
inline constexpr std::uint32_t kRetryLane = 0xfffe;
inline constexpr std::uint32_t kLastWord = 0xffff;

// What a worker keeps of its file of dead letters, in its recoverable state.
inline constexpr std::size_t kLetterStateBytes = 64;

// The parts of a progress word; Work::begin_event() makes them one.
struct EventName {
  std::uint32_t lane = 0;
  std::uint64_t position = 0;
};
inline EventName event_named(std::uint64_t progress) noexcept {
  constexpr unsigned kLaneShift = 48;
  return {static_cast<std::uint32_t>(progress >> kLaneShift),
          (progress & ((std::uint64_t{1} << kLaneShift) - 1)) - 1};
}

struct LaneLayout {
  std::size_t edge = 0;
  std::size_t producer = 0;         // Process.
  std::size_t consumer = 0;         // Process.
  std::size_t ring = 0;             // Of the producer's region.
  std::uint64_t producer_word = 0;  // Of marks_tail in the producer's cursor area; tail is the next.
  std::uint64_t consumer_word = 0;  // Of marks_head in the consumer's cursor area; head is the next.
  std::uint64_t capacity_bytes = 0;
};

struct ProcessLayout {
  std::string name;      // "host", "master", "parse/0".
  std::size_t node = 0;  // Of a worker: its stage.
  unsigned replica = 0;
  std::vector<std::size_t> lanes_in;
  std::vector<std::size_t> lanes_out;
  std::uint64_t cursor_words = kFixedWords;
  std::size_t undo_bytes = 0;
  std::size_t state_bytes = 0;
  std::size_t extra_bytes = 0;  // The host's requests, the master's register, a worker's crash note.
  // Offsets into the region's plain part.
  std::size_t cursors = 0;
  std::size_t commit = 0;
  std::size_t record = 0;
  std::size_t undo = 0;
  std::size_t counters = 0;
  std::size_t extra = 0;
  std::size_t entries = 0;
  std::size_t state = 0;
  std::size_t plain_bytes = 0;
};

// Where one inlet or outlet of the host commits: each is used by a thread of its own, so each has a record.
struct EndLayout {
  std::size_t node = 0;
  std::uint64_t count_word = 0;  // Of the host's cursor area: how many events were pushed or pulled.
  std::size_t entries = 0;       // Of its record.
  // Offsets into the host's plain part.
  std::size_t commit = 0;
  std::size_t undo = 0;
  std::size_t record = 0;
};

struct Layout {
  std::vector<EndLayout> ends;
  std::vector<ProcessLayout> processes;  // Host, master, then the workers in order of stages.
  std::vector<LaneLayout> lanes;

  std::size_t worker_count() const noexcept { return processes.size() - kFirstWorker; }
};

// Throws Error for settings that give no pipeline: no stage, no workers.
Layout lay_out(const Graph& graph, const Settings& settings);
std::vector<ipc::RegionSpec> region_specs(const Layout& layout);

// What the host asks of the others.
struct Requests {
  // Written by the host only.
  std::atomic<std::uint32_t> drain;  // 1: sources end.
  std::atomic<std::uint32_t> stop;   // 1: the master kills all workers and ends.
};

enum class RunState : std::uint32_t { starting = 0, running = 1, finished = 2, stopped = 3, failed = 4 };

constexpr bool is_over(RunState state) noexcept {
  return state == RunState::finished || state == RunState::stopped || state == RunState::failed;
}

// What the master knows of one worker.
struct WorkerEntry {
  // Written by the master only.
  std::atomic<std::int32_t> pid;  // 0 while there is none. No process takes the region before it stands here.
  std::atomic<std::uint32_t> restarts;
  std::atomic<std::uint32_t> verdict;
  std::atomic<std::uint32_t> done;  // 1: it has finished, or is shed, and will not run again.
  std::atomic<std::uint32_t> shed;  // 1: its budget is spent, and the others go on without it.
  std::atomic<std::int32_t> last_signal;
  std::atomic<std::uint32_t> starved;   // How often it began to be.
  std::atomic<std::uint64_t> identity;  // Of the process of that pid: descriptor.hpp.
  // When the master learned of the death of incarnation n; CLOCK_MONOTONIC, at n % kLivesKept.
  std::atomic<std::int64_t> noticed_ns[ipc::kLivesKept];
  std::atomic<Cause> last_cause;
  std::uint32_t reserved;
  Blame blames[kBlamesKept];
};

// Who stands at the head of the pipeline. A claim: who acts on it looks for the process by its identity.
struct ProcessEntry {
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint64_t> identity;
};

struct MasterRegister {
  // Written by the master only; by the next one, once the death of the last is confirmed.
  std::atomic<RunState> state;
  std::atomic<std::uint32_t> host_gone;  // 1: the host is dead, and what it has published is the last of it.
  std::atomic<std::uint32_t> masters;    // How many there have been.
  std::atomic<std::int64_t>
      at_work_ns;  // Since when the last of them has watched all workers; CLOCK_MONOTONIC.
  ProcessEntry master;
  ProcessEntry supervisor;
  char message[ipc::kMessageBytes];  // Why it failed; valid once state says so.
  std::atomic<std::uint64_t> observers_refused;
};

// The parts of one region as this process sees them.
struct RegionView {
  ipc::Control* control = nullptr;
  std::span<std::atomic<std::uint64_t>> cursors;
  ipc::CommitHeader* commit = nullptr;
  std::span<ipc::RedoEntry> record;
  ipc::UndoHeader* undo = nullptr;
  ipc::Counters* counters = nullptr;
  std::byte* extra = nullptr;
  std::span<std::byte> entries;
  std::span<std::byte> state;
};
RegionView view_of(const Layout& layout, const ipc::Segment& segment, std::size_t process);
ipc::LaneMemory lane_memory(const Layout& layout, const ipc::Segment& segment, std::size_t lane);

Requests& requests_of(const Layout& layout, const ipc::Segment& segment);
// Of the master's register and the workers' entries behind it.
std::size_t register_bytes(const Layout& layout) noexcept;
MasterRegister& register_of(const Layout& layout, const ipc::Segment& segment);
// The host is dead and the pipeline goes on to its end: nothing follows what the host's lanes hold, and
// nobody takes what is published for it.
inline bool host_gone(const MasterRegister& master) noexcept {
  // [master.host_gone] acquire: the last that the host has published; pairs with Master::on_host_death().
  return master.host_gone.load(std::memory_order_acquire) != 0;
}
WorkerEntry& entry_of(const Layout& layout, const ipc::Segment& segment, std::size_t worker);
CrashNote& crash_note_of(const Layout& layout, const ipc::Segment& segment, std::size_t process);
// Of a worker; nullptr for other processes, which are never shed.
const std::atomic<std::uint32_t>* shed_word_of(const Layout& layout, const ipc::Segment& segment,
                                               std::size_t process);

}  // namespace sluice::detail
