// SPDX-License-Identifier: Apache-2.0
#include "layout/wiring.hpp"

#include <sluice/detail/assert.hpp>

namespace sluice::detail {

const ipc::Doorbell& Wiring::end_bell(NodeIndex inlet_or_outlet) const noexcept {
  const std::vector<EndLayout>& ends = layout().ends;
  std::size_t found = 0;
  while (found < ends.size() && ends[found].node != inlet_or_outlet)
    ++found;
  SLUICE_ASSERT(found < ends.size());
  return bells_.ends[found];
}

void Wiring::ring_all() const noexcept {
  for (const ipc::Doorbell& bell : bells_.processes)
    bell.ring();
  for (const ipc::Doorbell& bell : bells_.ends)
    bell.ring();
}

void Wiring::ring_neighbours_of(WorkerIndex worker) const noexcept {
  const ProcessLayout& process = layout().worker(worker);
  for (const LaneIndex lane : process.lanes_in)
    producer_of(layout().lanes[lane]).bell->ring();
  for (const LaneIndex lane : process.lanes_out)
    consumer_of(layout().lanes[lane]).bell->ring();
}

Sleeper Wiring::sleeper(ProcessIndex process, NodeIndex node) const noexcept {
  if (process == kHostProcess) return {&end(node).control, &end_bell(node)};
  return {&this->process(process).control(), &bell(process)};
}

}  // namespace sluice::detail
