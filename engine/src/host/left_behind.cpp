// SPDX-License-Identifier: Apache-2.0
#include "host/left_behind.hpp"

#include <algorithm>

#include <sluice/ipc/framing.hpp>

namespace sluice::detail {

LeftBehind left_behind(const Wiring& wiring) {
  LeftBehind left;
  for (const LaneIndex id : wiring.lanes()) {
    ipc::LaneMemory memory = wiring.lane(id);
    // Of an event nothing is read but the length of a record, which never lies across the ring's end.
    memory.ring = wiring.ring(id).data();
    ipc::LaneConsumer lane{memory};
    const EventType& type = wiring.edge(wiring.layout().lanes[id]).type;
    std::uint64_t bytes = lane.readable();
    if (!type.record) {
      left.events += bytes / type.bytes;
      left.bytes += bytes;
      continue;
    }
    while (lane.readable() != 0) {
      const std::span<const std::byte> payload = ipc::peek_record(lane);
      if (payload.data() == nullptr) break;
      ++left.events;
      left.bytes += payload.size();
      lane.advance(ipc::record_stride(payload.size()));
    }
  }
  return left;
}

bool is_interrupted(const Wiring& wiring) noexcept {
  const Indices<WorkerIndex> workers = wiring.workers();
  return std::any_of(workers.begin(), workers.end(), [&wiring](WorkerIndex worker) {
    // relaxed: it ended with a commit, and so did the pipeline behind it.
    return wiring.worker(worker).cursors()[kFinished].load(std::memory_order_relaxed) == kCutShort;
  });
}

}  // namespace sluice::detail
