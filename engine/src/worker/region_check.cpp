// SPDX-License-Identifier: Apache-2.0
#include "worker/region_check.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace sluice::detail {
namespace {

// relaxed throughout: the owner's words stand still while nobody but this process may write them, and those
// of a neighbour only ever come closer to them.
constexpr auto kRelaxed = std::memory_order_relaxed;

std::uint64_t unit_of(const EventType& type) {
  return type.record ? ipc::kRecordHeaderBytes : type.bytes;
}

// The cursors of one lane, read in an order in which a neighbour that goes on cannot make them look wrong.
struct Cursors {
  explicit Cursors(const ipc::LaneMemory& memory)
      : head{memory.consumer->head.load(kRelaxed)},
        marks_head{memory.consumer->marks_head.load(kRelaxed)},
        marks_tail{memory.producer->marks_tail.load(kRelaxed)},
        tail{memory.producer->tail.load(kRelaxed)} {}

  std::uint64_t head;
  std::uint64_t marks_head;
  std::uint64_t marks_tail;
  std::uint64_t tail;
};

const char* fault_of_cursors(const Cursors& at, std::uint64_t capacity_bytes) {
  if (at.tail - at.head > capacity_bytes) return "its producer and its consumer stand where they cannot";
  if (at.marks_tail - at.marks_head > ipc::kMarksPerLane) return "more marks are passed than were made";
  return nullptr;
}

const ipc::Mark& mark_at(const ipc::LaneMemory& memory, std::uint64_t number) {
  return memory.producer->marks[number % ipc::kMarksPerLane];
}

bool ends_stream(const ipc::LaneMemory& memory, const Cursors& at) {
  if (at.marks_tail == 0) return false;
  const ipc::Mark& last = mark_at(memory, at.marks_tail - 1);
  return last.kind == ipc::MarkKind::end_of_stream && last.position == at.tail;
}

const char* fault_of_output(const ipc::LaneMemory& memory, std::uint64_t unit, bool finished) {
  const Cursors at{memory};
  if (const char* fault = fault_of_cursors(at, memory.capacity_bytes)) return fault;
  if (at.tail % unit != 0) return "what was produced ends in the midst of an event";
  for (std::uint64_t number = at.marks_head; number != at.marks_tail; ++number) {
    const ipc::Mark& mark = mark_at(memory, number);
    if (!ipc::is_known(mark.kind)) return "a mark is of no kind";
    if (mark.position - at.head > at.tail - at.head) return "a mark stands where nobody will come to";
  }
  if (finished != ends_stream(memory, at)) return "its end and the worker's do not agree";
  return nullptr;
}

const char* fault_of_input(const ipc::LaneMemory& memory, std::uint64_t unit, bool finished) {
  const Cursors at{memory};
  if (const char* fault = fault_of_cursors(at, memory.capacity_bytes)) return fault;
  if (at.head % unit != 0) return "what was consumed ends in the midst of an event";
  const bool passed_end =
      at.marks_head != 0 && mark_at(memory, at.marks_head - 1).kind == ipc::MarkKind::end_of_stream;
  return finished && !passed_end ? "the worker has finished and the lane has not ended" : nullptr;
}

}  // namespace

std::string fault_of_region(const Wiring& wiring, WorkerIndex worker) {
  const ProcessMemory memory = wiring.worker(worker);
  const std::uint64_t finished = memory.cursors()[kFinished].load(kRelaxed);
  if (finished > 1) return "the word that says whether it has finished is corrupt";
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
