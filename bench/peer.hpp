// The other side of a measurement: a thread or a process, pinned to a processing unit of its own.
#pragma once

#include <csignal>
#include <functional>
#include <sched.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

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
  // `work` must come to an end by itself: the measured side tells it to.
  Peer(Apart apart, unsigned unit, std::function<void()> work) {
    if (apart == Apart::threads) {
      thread_ = std::thread{[unit, work = std::move(work)] {
        pin(unit);
        work();
      }};
      return;
    }
    child_ = ::fork();
    if (child_ != 0) return;
    pin(unit);
    work();
    ::_exit(0);
  }
  ~Peer() {
    if (thread_.joinable()) thread_.join();
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

 private:
  std::thread thread_;
  pid_t child_ = -1;
};

}  // namespace sluice::bench
