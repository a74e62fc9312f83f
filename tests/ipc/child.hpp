// SPDX-License-Identifier: Apache-2.0
// A child process of a test: forked, always given a deadline, never left behind.
#pragma once

#include <cassert>
#include <chrono>
#include <csignal>
#include <poll.h>
#include <string>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::ipc::test {

// How a child ended, in words that a failed expectation can print: "exit 0", "signal 11", "deadline".
using Ending = std::string;

inline constexpr std::chrono::seconds kDeadline{60};

class Child {
 public:
  // Runs `work` in a child; what it returns is the exit status.
  template <class Work>
  explicit Child(Work work) : pid_{::fork()} {
    if (pid_ == 0) {
      // A sanitizer's handler would turn the signal that a test waits for into an exit.
      for (const int signal : {SIGSEGV, SIGBUS, SIGABRT})
        std::signal(signal, SIG_DFL);
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      ::_exit(static_cast<int>(work()));
    }
    assert(pid_ > 0);
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    assert(pidfd_ >= 0);
  }
  ~Child() {
    if (pid_ != 0) {
      kill();
      ending();
    }
    ::close(pidfd_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const noexcept { return pid_; }
  void kill() const noexcept { ::kill(pid_, SIGKILL); }

  // Waits for the end; past the deadline the child is killed.
  Ending ending(std::chrono::milliseconds deadline = kDeadline) {
    pollfd entry{pidfd_, POLLIN, 0};
    const bool ended = ::poll(&entry, 1, static_cast<int>(deadline.count())) == 1;
    if (!ended) kill();
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    if (!ended) return "deadline";
    return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                               : "exit " + std::to_string(WEXITSTATUS(status));
  }

 private:
  pid_t pid_;
  int pidfd_ = -1;
};

}  // namespace sluice::ipc::test
