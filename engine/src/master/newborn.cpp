// SPDX-License-Identifier: Apache-2.0
#include "master/newborn.hpp"

#include <csignal>
#include <ctime>
#include <sys/prctl.h>
#include <unistd.h>

#include <sluice/ipc/waiting.hpp>

#include "worker/worker_loop.hpp"

namespace sluice::detail {

bool begin_newborn(Lifeline& lifeline, pid_t master) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != master) ::_exit(1);
  return lifeline.bind_this_process();
}

void await_registration(const WorkerEntry& entry, bool bound) noexcept {
  // A master that hangs or is stopped meanwhile is waited for; one that dies takes this process along.
  constexpr std::chrono::minutes kLimit{1};
  constexpr int kSpins = 2000;  // Tens of microseconds: the master is at it on another processor.
  const timespec pause{0, 20'000};
  const auto until = monotonic_now() + kLimit;
  const pid_t self = ::getpid();
  // [entry.pid] acquire: the master knows this process from here on; pairs with Spawner::enter().
  for (int look = 0; entry.pid.load(std::memory_order_acquire) != self; ++look) {
    if (look < kSpins) {
      ipc::relax();
    } else if (monotonic_now() < until) {
      ::nanosleep(&pause, nullptr);
    } else {
      ::_exit(1);
    }
  }
  if (bound) ::prctl(PR_SET_PDEATHSIG, 0);
}

}  // namespace sluice::detail
