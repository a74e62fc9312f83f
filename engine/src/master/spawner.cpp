// SPDX-License-Identifier: Apache-2.0
// What the spawner does ahead of a death and beside it. What it does in between: replacement.cpp.
#include "master/spawner.hpp"

#include <algorithm>
#include <unistd.h>

#include "master/mm_pin.hpp"
#include "master/newborn.hpp"
#include "worker/own_stack.hpp"
#include "worker/worker_process.hpp"

namespace sluice::detail {

void Spawner::prepare_standby() {
  if (standby_.ready() || monotonic_now() < standby_due_) return;
  bool bound = false;
  const Standby::Duties duties{[this, &bound, master = ::getpid()] {
                                 bound = begin_newborn(lifeline_, master);
                                 become_newborn();
                               },
                               [this, &bound](WorkerIndex worker) { become_worker(worker, bound); }};
  standby_due_ = monotonic_now() + kStandbyPause;
  if (!standby_.prepare(duties)) return;
  if (!epoll_.add(standby_.pidfd(), kStandbyEvent)) standby_.give_up();
}

void Spawner::let_go_of_the_masters() noexcept {
  observer_socket_.let_go();
  log_.let_go();
  claim_.let_go();
  if (let_go_) let_go_();
}

// What every worker does first, whichever it is going to be.
void Spawner::become_newborn() noexcept {
  let_go_of_the_masters();
  prepare_worker(wiring_);
  start_mm_pin();
}

void Spawner::on_standby_death() noexcept {
  epoll_.remove(standby_.pidfd());
  standby_.give_up();
}

void Spawner::start_due() {
  const auto now = monotonic_now();
  for (const Child& child : children_) {
    if (child.start_at && *child.start_at <= now) start(child.worker);
  }
}

std::chrono::nanoseconds Spawner::next_due() const noexcept {
  auto next = standby_.ready() ? std::chrono::nanoseconds::max() : standby_due_;
  for (const Child& child : children_) {
    if (child.start_at) next = std::min(next, *child.start_at);
  }
  return next;
}

pid_t Spawner::fork_worker(WorkerIndex worker) {
  const pid_t master = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    renew_canary();
    const bool bound = begin_newborn(lifeline_, master);
    if (begins_anew(worker)) become_executed(worker, bound);
    become_newborn();
    become_worker(worker, bound);
  }
  if (pid > 0) children_[worker].pidfd = open_pidfd(pid);
  return pid;
}

}  // namespace sluice::detail
