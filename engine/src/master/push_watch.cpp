// SPDX-License-Identifier: Apache-2.0
#include "master/push_watch.hpp"

#include <sluice/detail/clock.hpp>

namespace sluice::detail {

PushWatch::PushWatch(const Wiring& wiring, News& news) : wiring_{wiring}, news_{news} {
  for (const EndLayout& end : wiring.layout().ends) {
    if (wiring.node(end.node).kind == NodeKind::inlet) known_.push_back({.inlet = end.node});
  }
}

void PushWatch::look() {
  if (host_gone(wiring_.master())) return;
  const auto now = monotonic_now();
  for (Known& known : known_) {
    const std::optional<FullOutlet> outlet = outlet_of(known.inlet);
    if (!outlet || outlet != known.outlet) {
      known = {.inlet = known.inlet, .outlet = outlet, .since = now};
      continue;
    }
    if (known.told || now - known.since < worth_a_line(*outlet)) continue;
    known.told = true;
    news_.push_waits(known.inlet, wiring_.edge(wiring_.layout().lanes[outlet->lane]).to, now - known.since);
  }
}

std::optional<FullOutlet> PushWatch::outlet_of(NodeIndex inlet) const noexcept {
  const std::optional<LaneIndex> lane = lane_awaited_by(wiring_, kHostProcess, wiring_.end(inlet).control);
  return lane ? outlet_behind(wiring_, *lane) : std::nullopt;
}

// A host that takes its time is nothing special: so much longer than what the stage before it may take for one event.
std::chrono::nanoseconds PushWatch::worth_a_line(const FullOutlet& outlet) const noexcept {
  constexpr int kDeadlines = 10;
  const ProcessIndex worker = wiring_.layout().lanes[outlet.lane].producer;
  if (!is_worker(worker)) return std::chrono::seconds{kDeadlines};
  return kDeadlines * wiring_.settings(worker_of(worker)).deadline;
}

}  // namespace sluice::detail
