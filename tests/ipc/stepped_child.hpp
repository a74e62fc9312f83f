// Runs a child one instruction at a time, so that a test can look at what a death there would leave behind.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <sched.h>
#include <string>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.hpp"

namespace sluice::ipc::test {

struct Steps {
  std::uint64_t instructions = 0;
  std::string ending;  // "whole" when `work` returned.
};

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

// `work` runs in a child; `look` runs here after each of the child's instructions.
template <class Work, class Look>
Steps step_through(Work&& work, Look&& look) {
  const auto until = std::chrono::steady_clock::now() + kDeadline;
  const SamePlace place;  // Two processes that take turns do so ten times faster on one unit than on two.
  Steps steps;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
    ::raise(SIGSTOP);
    work();
    ::raise(SIGSTOP);  // Not _exit(): the loader would look it up, and that would be stepped through.
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return {0, "this process may not trace its child"};
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL);
  while (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0 && ::waitpid(child, &status, 0) == child) {
    const bool late = steps.instructions % 1024 == 0 && std::chrono::steady_clock::now() > until;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP || late) break;
    ++steps.instructions;
    look();
  }
  const bool whole = WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
  steps.ending = whole ? "whole" : "broken off with status " + std::to_string(status);
  if (WIFSTOPPED(status)) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  return steps;
}

}  // namespace sluice::ipc::test
