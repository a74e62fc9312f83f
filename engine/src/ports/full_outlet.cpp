// SPDX-License-Identifier: Apache-2.0
#include "ports/full_outlet.hpp"

namespace sluice::detail {

// relaxed throughout: what is looked at twice need not be in order.

std::optional<LaneIndex> lane_awaited_by(const Wiring& wiring, ProcessIndex producer,
                                         const ipc::Control& control) noexcept {
  const auto& lanes = wiring.layout().lanes;
  const std::uint64_t awaited = control.awaited_lane.load(std::memory_order_relaxed);
  if (awaited == 0 || awaited > lanes.size()) return std::nullopt;
  const LaneIndex lane{awaited - 1};
  if (lanes[lane].producer != producer) return std::nullopt;
  return lane;
}

std::optional<FullOutlet> outlet_behind(const Wiring& wiring, LaneIndex full) noexcept {
  const auto& lanes = wiring.layout().lanes;
  // No way is longer than all lanes.
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const ProcessIndex consumer = lanes[full].consumer;
    if (consumer == kHostProcess)
      return FullOutlet{full, wiring.lane(full).consumer->head.load(std::memory_order_relaxed)};
    const ipc::Control& worker = wiring.process(consumer).control();
    if (worker.activity.load(std::memory_order_relaxed) != ipc::Activity::full) return std::nullopt;
    const std::optional<LaneIndex> next = lane_awaited_by(wiring, consumer, worker);
    if (!next) return std::nullopt;
    full = *next;
  }
  return std::nullopt;
}

}  // namespace sluice::detail
