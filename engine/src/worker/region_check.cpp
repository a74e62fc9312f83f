// SPDX-License-Identifier: Apache-2.0
#include "worker/region_check.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "layout/relaxed.hpp"

namespace sluice::detail {
namespace {

// relaxed throughout: the owner's words stand still, since this process alone may write them now, and those
// of a neighbour only ever come closer to them.

std::uint64_t unit_of(const EventType& type) {
  return type.record ? ipc::kRecordHeaderBytes : type.bytes;
}

// The cursors of one lane, read in an order in which a neighbour that goes on cannot make them look wrong.
struct Cursors {
  explicit Cursors(const ipc::LaneMemory& memory)
      : head{memory.consumer->head.load(kRelaxed)},
        ended{memory.producer->ended.load(kRelaxed)},
        tail{memory.producer->tail.load(kRelaxed)} {}

  std::uint64_t head;
  std::uint64_t ended;
  std::uint64_t tail;
};

const char* fault_of_cursors(const Cursors& at, std::uint64_t capacity_bytes) {
  if (at.tail - at.head > capacity_bytes) return "its producer and its consumer stand where they cannot";
  if (at.ended > ipc::kEnded) return "the word that says whether it has ended is corrupt";
  return nullptr;
}

const char* fault_of_output(const ipc::LaneMemory& memory, std::uint64_t unit, bool finished) {
  const Cursors at{memory};
  if (const char* fault = fault_of_cursors(at, memory.capacity_bytes)) return fault;
  if (at.tail % unit != 0) return "what was produced ends in the midst of an event";
  if (finished != (at.ended == ipc::kEnded)) return "its end and the worker's do not agree";
  return nullptr;
}

const char* fault_of_input(const ipc::LaneMemory& memory, std::uint64_t unit, bool finished) {
  const Cursors at{memory};
  if (const char* fault = fault_of_cursors(at, memory.capacity_bytes)) return fault;
  if (at.head % unit != 0) return "what was consumed ends in the midst of an event";
  const bool ended = at.ended == ipc::kEnded && at.head == at.tail;
  return finished && !ended ? "the worker has finished and the lane has not ended" : nullptr;
}

}  // namespace

std::string fault_of_region(const Wiring& wiring, WorkerIndex worker) {
  const ProcessMemory memory = wiring.worker(worker);
  const std::uint64_t finished = memory.cursors()[kFinished].load(kRelaxed);
  if (finished > kCutShort) return "the word that says whether it has finished is corrupt";
  const auto lane_fault = [&](LaneIndex index, const auto& fault_of) -> std::string {
    const LaneLayout& lane = wiring.layout().lanes[index];
    const std::uint64_t unit = unit_of(wiring.edge(lane).type);
    // A host that has died may have ended its lanes without a mark (host.death).
    const bool ended = finished != 0 && lane.producer != kHostProcess;
    const char* fault = fault_of(wiring.lane(index), unit, ended);
    if (fault == nullptr) return {};
    return fmt::format("the lane from {} to {} is corrupt: {}", wiring.name(lane.producer),
                       wiring.name(lane.consumer), fault);
  };
  std::string fault;
  for (const LaneIndex lane : memory.layout().lanes_out) {
    fault = lane_fault(lane, fault_of_output);
    if (!fault.empty()) return fault;
  }
  for (const LaneIndex lane : memory.layout().lanes_in) {
    fault = lane_fault(lane, fault_of_input);
    if (!fault.empty()) return fault;
  }
  return fault;
}

}  // namespace sluice::detail
