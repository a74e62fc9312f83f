// SPDX-License-Identifier: Apache-2.0
// The standby: a process that the master has forked ahead, to become the replacement of whichever worker dies
// next. It spares a replacement the fork: about 0.25 ms of the millisecond it takes on a busy machine.
//
// Used by the master only. The standby blocks on a pipe until it is told which worker to be; it owns no
// region and has run no user code. Until then it dies with the master.
#pragma once

#include <cstddef>
#include <functional>
#include <sys/types.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/index.hpp>

namespace sluice::detail {

class Standby {
 public:
  struct Duties {
    // In the standby: right after its fork, and once it is told which worker to be. The second never returns.
    std::function<void()> begin;
    std::function<void(WorkerIndex worker)> become;
  };
  // Forks a standby. False when there is no process, descriptor or memory to be had: the master then
  // forks the worker itself.
  bool prepare(const Duties& duties);

  bool ready() const noexcept { return static_cast<bool>(pidfd_); }
  pid_t pid() const noexcept { return pid_; }
  int pidfd() const noexcept { return pidfd_.get(); }

  // Hands the process over to its watcher, then tells it which worker to be. One that has
  // died meanwhile does not hear it; its pidfd says so.
  Descriptor hand_over() noexcept { return std::move(pidfd_); }
  void tell(WorkerIndex worker) noexcept;
  // It died, or is to die: kills and reaps it.
  void give_up() noexcept;

 private:
  pid_t pid_ = 0;
  Descriptor pidfd_;
  Descriptor orders_;  // The writing end of its pipe.
};

}  // namespace sluice::detail
