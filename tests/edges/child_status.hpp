// SPDX-License-Identifier: Apache-2.0
// Work that a test does in a process of its own.
#pragma once

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.hpp"

namespace sluice::test {

// Runs `work` in a child of this process; its exit status, or -1 when it was killed or did not end in time.
template <class Work>
int status_in_child(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  if (!eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; })) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace sluice::test
