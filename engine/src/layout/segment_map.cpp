// SPDX-License-Identifier: Apache-2.0
#include "layout/segment_map.hpp"

#include <algorithm>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/pages.hpp>

namespace sluice::detail {
namespace {

// The workers' entries begin behind the register, on a line of their own.
constexpr std::size_t kEntriesOffset = round_up(sizeof(MasterRegister), 64);

// And behind them what of each lane is released.
std::size_t released_offset(const Layout& layout) noexcept {
  return round_up(kEntriesOffset + layout.worker_count() * sizeof(WorkerEntry), 64);
}

// And behind that what of each worker and end is in a checkpoint.
std::size_t checkpointed_offset(const Layout& layout) noexcept {
  return released_offset(layout) + layout.lanes.size() * sizeof(std::atomic<std::uint64_t>);
}

}  // namespace

std::size_t register_bytes(const Layout& layout) noexcept {
  return checkpointed_offset(layout) +
         (layout.worker_count() + layout.ends.size()) * sizeof(std::atomic<std::uint64_t>);
}

std::atomic<std::uint64_t>& SegmentMap::master_word(std::size_t offset, std::size_t index) const noexcept {
  const std::size_t words = layout_.processes[kMasterProcess].extra + offset;
  return process(kMasterProcess)
      .at<std::atomic<std::uint64_t>>(words + index * sizeof(std::atomic<std::uint64_t>));
}

std::atomic<std::uint64_t>& SegmentMap::released(LaneIndex lane) const noexcept {
  return master_word(released_offset(layout_), lane.value());
}

std::atomic<std::uint64_t>& SegmentMap::checkpointed(WorkerIndex worker) const noexcept {
  return master_word(checkpointed_offset(layout_), worker.value());
}

std::atomic<std::uint64_t>& SegmentMap::checkpointed(NodeIndex inlet_or_outlet) const noexcept {
  return master_word(checkpointed_offset(layout_), layout_.worker_count() + place_of(inlet_or_outlet));
}

ipc::LaneMemory SegmentMap::lane(LaneIndex lane) const noexcept {
  const LaneLayout& parts = layout_.lanes[lane];
  const ipc::RingView ring = segment_.ring(parts.producer.value(), parts.ring);
  return {reinterpret_cast<ipc::ProducerLine*>(&process(parts.producer).cursors()[parts.producer_word]),
          reinterpret_cast<ipc::ConsumerLine*>(&process(parts.consumer).cursors()[parts.consumer_word]),
          ring.data, ring.capacity_bytes};
}

std::span<std::byte> SegmentMap::ring(LaneIndex lane) const noexcept {
  const LaneLayout& parts = layout_.lanes[lane];
  return segment_.ring_memory(parts.producer.value(), parts.ring);
}

std::size_t SegmentMap::place_of(NodeIndex inlet_or_outlet) const noexcept {
  const auto found = std::find_if(layout_.ends.begin(), layout_.ends.end(),
                                  [&](const EndLayout& each) { return each.node == inlet_or_outlet; });
  SLUICE_ASSERT(found != layout_.ends.end());
  return static_cast<std::size_t>(found - layout_.ends.begin());
}

EndMemory SegmentMap::end(NodeIndex inlet_or_outlet) const noexcept {
  const EndLayout& end = layout_.ends[place_of(inlet_or_outlet)];
  const ProcessMemory memory = host();
  return {memory.at<ipc::Control>(end.control),
          memory.at<ipc::CommitHeader>(end.commit),
          memory.at<ipc::UndoHeader>(end.undo),
          {&memory.at<ipc::RedoEntry>(end.record), end.entries},
          end.count_word};
}

Requests& SegmentMap::requests() const noexcept {
  return host().at<Requests>(layout_.processes[kHostProcess].extra);
}

MasterRegister& SegmentMap::master() const noexcept {
  return process(kMasterProcess).at<MasterRegister>(layout_.processes[kMasterProcess].extra);
}

WorkerEntry& SegmentMap::entry(WorkerIndex worker) const noexcept {
  SLUICE_ASSERT(worker.value() < layout_.worker_count());
  const std::size_t entries = layout_.processes[kMasterProcess].extra + kEntriesOffset;
  return process(kMasterProcess).at<WorkerEntry>(entries + worker.value() * sizeof(WorkerEntry));
}

const std::atomic<std::uint32_t>* SegmentMap::shed_word(ProcessIndex process) const noexcept {
  return is_worker(process) ? &entry(worker_of(process)).shed : nullptr;
}

}  // namespace sluice::detail
