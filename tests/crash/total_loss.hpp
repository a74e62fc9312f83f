// SPDX-License-Identifier: Apache-2.0
// A host with a whole pipeline under it that can be lost at one instant: every process killed by one call.
//
// Used by tests, which have no threads. The host is a fork in a process group of its own; what it leaves
// behind comes to this process, is waited for, and must be all of it.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <random>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace total_loss {

inline constexpr std::chrono::seconds kDeadline{60};

template <class Done>
bool within(std::chrono::nanoseconds limit, Done&& done) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::microseconds{200});
  }
  return true;
}

// What is mapped later comes to lie elsewhere, provided that a block is about as large: smaller ones fill
// other gaps between the libraries, larger ones none.
struct AddressesTaken {
  std::uint64_t blocks = 0;
  std::size_t block_bytes = 0;
};

class Host {
 public:
  // Runs `work` in the host; 0 when it is done. `taken` is what of the address space it cannot have.
  Host(const AddressesTaken& taken, const std::function<void()>& work) {
    ::prctl(PR_GET_CHILD_SUBREAPER, &reaps_orphans_before_);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) {
      ::setpgid(pid_, pid_);
      return;
    }
    ::setpgid(0, 0);
    for (std::uint64_t block = 0; block < taken.blocks; ++block)
      (void)::mmap(nullptr, taken.block_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int status = 0;
    try {
      work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the host: %s\n", error.what());
      status = 1;
    }
    std::fflush(nullptr);
    ::_exit(status);
  }
  ~Host() {
    kill();
    gone();
    // Orphans of tests that come later are no children of this process, and nobody here would wait for them.
    ::prctl(PR_SET_CHILD_SUBREAPER, static_cast<unsigned long>(reaps_orphans_before_));
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Every process at once. Frozen first, the cut is one through all of them; killed outright, each runs on
  // for as long as the signal takes to reach it.
  void kill(bool frozen_first = false) const {
    if (frozen_first) {
      ::kill(-pid_, SIGSTOP);
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    ::kill(-pid_, SIGKILL);
  }

  // Every process stands still, as it is; and goes on.
  void stop() const { ::kill(-pid_, SIGSTOP); }
  void go_on() const { ::kill(-pid_, SIGCONT); }

  // The host has ended; with what, says status().
  bool ended() {
    if (!ended_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
    return ended_;
  }
  bool wait_for_end(std::chrono::nanoseconds limit) {
    return within(limit, [this] { return ended(); });
  }
  int status() const noexcept { return status_; }

  // Every process of the group is dead and waited for.
  bool gone() {
    return within(kDeadline, [this] {
      if (ended() && ::waitpid(-pid_, nullptr, WNOHANG) < 0) return true;
      return false;
    });
  }

 private:
  pid_t pid_ = 0;
  int reaps_orphans_before_ = 0;
  bool ended_ = false;
  int status_ = 0;
};

}  // namespace total_loss
