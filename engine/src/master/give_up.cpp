// SPDX-License-Identifier: Apache-2.0
// What happens when a worker's restart budget is spent: the pipeline stops, or goes on without that worker's share.

#include "master/master.hpp"

namespace sluice::detail {

// Of the process that has just died.
bool Master::was_ready(const Child& child) const noexcept {
  const ipc::Control& control = wiring_.worker(child.worker).control();
  // relaxed: of a process that is dead. One that had not taken its region yet was not ready.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const ipc::Life& life = control.lives[control.incarnation.load(kRelaxed) % ipc::kLivesKept];
  return life.born_ns.load(kRelaxed) >= child.born.count() && life.ready_ns.load(kRelaxed) != 0;
}

std::string Master::give_up(WorkerIndex worker, const std::string& report) {
  if (wiring_.settings().restart.spent == SpentBudgetPolicy::stop) return report;
  shed(worker);
  return {};
}

void Master::shed(WorkerIndex worker) {
  WorkerEntry& entry = wiring_.entry(worker);
  entry.verdict.store(static_cast<std::uint32_t>(Verdict::shed), std::memory_order_relaxed);
  // relaxed: for a master that takes over; until it stands there, the worker is started once more.
  entry.done.store(1, std::memory_order_relaxed);
  // [entry.shed] release: the death of the worker is confirmed, and what it had published is all there will
  // be; pairs with InLane::producer_shed().
  entry.shed.store(1, std::memory_order_release);
  --running_;
  // Neighbours may wait for what will not come, or for room that nobody will make.
  wiring_.ring_all();
}

}  // namespace sluice::detail
