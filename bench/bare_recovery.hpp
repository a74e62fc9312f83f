// SPDX-License-Identifier: Apache-2.0
// The least that a replacement can be: a process is killed, its death is known, another one is forked and
// stores the time.
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "peer.hpp"

namespace sluice::bench {

// One line that parent and children share.
class SharedTime {
 public:
  SharedTime()
      : word_{static_cast<std::atomic<std::int64_t>*>(
            ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))} {}
  ~SharedTime() {
    if (*this) ::munmap(word_, 4096);
  }
  SharedTime(const SharedTime&) = delete;
  SharedTime& operator=(const SharedTime&) = delete;
  explicit operator bool() const noexcept { return word_ != MAP_FAILED; }
  // relaxed: a time and nothing else.
  void store(std::int64_t value) noexcept { word_->store(value, std::memory_order_relaxed); }
  std::int64_t await(std::chrono::nanoseconds limit) noexcept {
    const auto until = std::chrono::steady_clock::now() + limit;
    std::int64_t value = 0;
    while ((value = word_->load(std::memory_order_relaxed)) == 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::microseconds{50});
    return value;
  }

 private:
  std::atomic<std::int64_t>* word_;
};

inline pid_t fork_storing(SharedTime& time) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin(1);
  time.store(std::chrono::steady_clock::now().time_since_epoch().count());
  while (true) {
  }
}

// This process on unit 0 as long as it lives, and then where it was before: what comes next may want both.
class OnFirstUnit {
 public:
  OnFirstUnit() {
    ::sched_getaffinity(0, sizeof(before_), &before_);
    pin(0);
  }
  ~OnFirstUnit() { ::sched_setaffinity(0, sizeof(before_), &before_); }
  OnFirstUnit(const OnFirstUnit&) = delete;
  OnFirstUnit& operator=(const OnFirstUnit&) = delete;

 private:
  cpu_set_t before_{};
};

// From the signal to the replacement's store; nothing if a process could not be had.
inline std::optional<std::chrono::nanoseconds> kill_and_replace_bare(std::chrono::milliseconds limit) {
  const OnFirstUnit here;
  SharedTime time;
  const pid_t first = fork_storing(time);
  if (!time || first < 0) return std::nullopt;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, first, 0));
  bool dead = false;
  pid_t second = -1;
  std::int64_t killed = 0;
  if (time.await(limit) != 0 && pidfd >= 0) {
    time.store(0);
    killed = std::chrono::steady_clock::now().time_since_epoch().count();
    ::kill(first, SIGKILL);
    pollfd entry{pidfd, POLLIN, 0};
    dead = ::poll(&entry, 1, static_cast<int>(limit.count())) == 1;
    if (dead) second = fork_storing(time);
  }
  const std::int64_t stored = second > 0 ? time.await(limit) : 0;
  ::close(pidfd);
  for (const pid_t child : {first, second}) {
    if (child <= 0) continue;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  if (stored == 0) return std::nullopt;
  return std::chrono::nanoseconds{stored - killed};
}

}  // namespace sluice::bench
