// SPDX-License-Identifier: Apache-2.0
// Runs a child one instruction at a time, so that a test can look at what a death there would leave behind.
#pragma once

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.hpp"

namespace sluice::ipc::test {

// Keeps this thread, and the children it forks, on the processing unit it is on, for as long as it lives.
class SamePlace {
 public:
  SamePlace() {
    ::sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &here);
    ::sched_setaffinity(0, sizeof(here), &here);
  }
  ~SamePlace() { ::sched_setaffinity(0, sizeof(before_), &before_); }
  SamePlace(const SamePlace&) = delete;
  SamePlace& operator=(const SamePlace&) = delete;

 private:
  cpu_set_t before_{};
};

// The kernel, or the emulator that stands for it, knows no ptrace: then no process can be stepped.
inline bool kernel_has_no_ptrace() {
  Child child{[] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0 && errno == ENOSYS ? 1 : 0; }};
  return child.ending() == "exit 1";
}

// A child that stands still unless it is told to go on. It calls stop_here() where it wants to be met.
class SteppedChild {
 public:
  // Stands before the first instruction of `work`.
  template <class Work>
  explicit SteppedChild(Work work) : pid_{::fork()} {
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
      stop_here();
      work();
      stop_here();  // Not _exit(): the loader would look it up, and that would be stepped through.
      ::_exit(0);
    }
    if (await() && stopped()) ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL);
  }
  ~SteppedChild() { kill(); }
  SteppedChild(const SteppedChild&) = delete;
  SteppedChild& operator=(const SteppedChild&) = delete;

  static void stop_here() { ::raise(SIGSTOP); }

  pid_t pid() const noexcept { return pid_; }
  // Whether it stands where it called stop_here().
  bool stopped() const noexcept { return alive_ && WIFSTOPPED(status_) && WSTOPSIG(status_) == SIGSTOP; }
  // One instruction further; false when it has come to stop_here(), or to anything but the next instruction.
  bool step() {
    do {
      if (!alive_ || ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0 || !await()) return false;
    } while (was_continued());
    return WIFSTOPPED(status_) && WSTOPSIG(status_) == SIGTRAP;
  }
  // Lets it go to the next stop_here() at its own speed; look at stopped() or call await_stop().
  bool let_go() { return alive_ && ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) == 0; }
  // After let_go(): true once it stands again, or is gone.
  bool arrived() {
    if (!alive_) return true;
    if (::waitpid(pid_, &status_, WNOHANG) != pid_) return false;
    alive_ = WIFSTOPPED(status_);
    return !was_continued() || !let_go();
  }
  // SIGKILL, and its confirmation.
  void kill() {
    if (!alive_) return;
    ::kill(pid_, SIGKILL);
    while (alive_ && await()) {
    }
    alive_ = false;
  }
  std::string ending() const {
    if (stopped()) return "whole";
    return "broken off with status " + std::to_string(status_);
  }

 private:
  // Whoever continues stopped processes may mean this one too; it is its tracer's, and goes on as it was.
  bool was_continued() const {
    if (!alive_ || WSTOPSIG(status_) != SIGCONT) return false;
    siginfo_t info{};
    ::ptrace(PTRACE_GETSIGINFO, pid_, nullptr, &info);
    std::fprintf(stderr, "process %d was sent a SIGCONT by process %d, code %d\n", pid_, info.si_pid,
                 info.si_code);
    return true;
  }

  bool await() {
    if (::waitpid(pid_, &status_, 0) != pid_) {
      alive_ = false;
      return false;
    }
    alive_ = WIFSTOPPED(status_);
    return true;
  }

  pid_t pid_;
  int status_ = 0;
  bool alive_ = true;
};

struct Steps {
  std::uint64_t instructions = 0;
  std::string ending;  // "whole" when the child came to where it stops by itself.
};

// `look` runs here after each of the child's instructions, until it comes to stop_here().
template <class Look>
Steps step_on(SteppedChild& child, Look&& look, std::chrono::seconds deadline = kDeadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  Steps steps;
  while (child.step()) {
    ++steps.instructions;
    look();
    if (steps.instructions % 1024 == 0 && std::chrono::steady_clock::now() > until) {
      return {steps.instructions, "broken off at its deadline"};
    }
  }
  steps.ending = child.ending();
  return steps;
}

// `work` runs in a child; `look` runs here after each of the child's instructions.
template <class Work, class Look>
Steps step_through(Work work, Look&& look) {
  const SamePlace place;  // Two processes that take turns do so ten times faster on one unit than on two.
  SteppedChild child{work};
  if (!child.stopped()) return {0, "this process may not trace its child"};
  return step_on(child, look);
}

}  // namespace sluice::ipc::test
