// SPDX-License-Identifier: Apache-2.0
#include "master/inherited_rings.hpp"

namespace sluice::detail {

InheritedRings::InheritedRings(const Wiring& wiring) noexcept
    : wiring_{wiring}, one_{false}, there_{show(true)} {}

InheritedRings::InheritedRings(const Wiring& wiring, WorkerIndex worker) noexcept
    : wiring_{wiring}, one_{true}, process_{process_of(worker)}, there_{show(true)} {}

bool InheritedRings::show(bool shown) const noexcept {
  const ipc::Segment& segment = wiring_.segment();
  if (!segment.rings_are_hidden()) return true;
  bool done = true;
  if (!one_) {
    for (std::size_t region = 0; region < segment.region_count(); ++region)
      done = segment.show_rings_to_children(region, shown) && done;
    return done;
  }
  done = segment.show_rings_to_children(process_.value(), shown);
  for (const LaneIndex in : wiring_.layout().processes[process_].lanes_in) {
    const LaneLayout& lane = wiring_.layout().lanes[in];
    done = segment.show_ring_to_children(lane.producer.value(), lane.ring, shown) && done;
  }
  return done;
}

}  // namespace sluice::detail
