// SPDX-License-Identifier: Apache-2.0
// All threads of another process, stopped for a moment so that they can be looked at, without its help.
//
// By ptrace: it works on threads that spin as on those that sleep, and a thread that is being stopped does
// not notice. Used by one thread of a process that soon ends: should that die, the kernel lets the threads
// run on.
#pragma once

#include <chrono>
#include <string>
#include <sys/types.h>
#include <vector>

namespace sluice::detail {

class StoppedProcess {
 public:
  struct Thread {
    pid_t id = 0;
    std::string name;
    char state = '?';      // Before it was stopped: R, S, D, ...
    bool stopped = false;  // In state D it is not, however long one waits.
    int signal = 0;        // Was about to be delivered, and will be.
  };

  // Stops what can be stopped until `until`. Does not throw: failure() says what went wrong.
  StoppedProcess(pid_t pid, std::chrono::steady_clock::time_point until);
  // Lets all threads go on, or waits, for a moment, until they are gone.
  ~StoppedProcess();
  StoppedProcess(const StoppedProcess&) = delete;
  StoppedProcess& operator=(const StoppedProcess&) = delete;

  const std::vector<Thread>& threads() const noexcept { return threads_; }
  // Why there is no thread; empty if there are some.
  const std::string& failure() const noexcept { return failure_; }

 private:
  bool seize_new_threads();
  bool await(Thread& thread);
  void release(const Thread& thread) const noexcept;

  pid_t pid_;
  std::chrono::steady_clock::time_point until_;
  std::vector<Thread> threads_;
  std::string failure_;
};

}  // namespace sluice::detail
