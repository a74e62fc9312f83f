// SPDX-License-Identifier: Apache-2.0
// The other side of a measurement: a thread or a process, pinned to a processing unit of its own.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "waiting.hpp"

namespace sluice::bench {

inline bool pin(unsigned unit) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(unit, &set);
  return ::sched_setaffinity(0, sizeof(set), &set) == 0;
}

enum class Apart { threads, processes };

class Peer {
 public:
  // `work` must come to an end by itself: the measured side tells it to. A process that does not is killed.
  Peer(Apart apart, unsigned unit, const std::function<void()>& work) {
    if (apart == Apart::threads) {
      thread_ = std::thread{[unit, work] {
        pin(unit);
        run(work);
      }};
      return;
    }
    child_ = ::fork();
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(unit);
    ::_exit(run(work) ? 0 : 1);
  }
  ~Peer() {
    if (thread_.joinable()) thread_.join();
    if (child_ > 0 && !reaped(std::chrono::steady_clock::now() + kGrace)) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

 private:
  static bool run(const std::function<void()>& work) noexcept {
    try {
      work();
      return true;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the other side of a benchmark ended: %s\n", error.what());
      return false;
    }
  }
  bool reaped(std::chrono::steady_clock::time_point deadline) const {
    while (::waitpid(child_, nullptr, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::microseconds{50});
    }
    return true;
  }

  std::thread thread_;
  pid_t child_ = -1;
};

}  // namespace sluice::bench
