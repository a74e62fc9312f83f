// SPDX-License-Identifier: Apache-2.0
// A suite program as a child process: everything it starts stands in one process group, which is ended as a
// whole, so that nothing goes on measuring behind the next suite's back.
#pragma once

#include <chrono>
#include <string>
#include <sys/types.h>
#include <vector>

namespace sluice::bench {

class SuiteProgram {
 public:
  // Standard output goes to /dev/null and standard error to the file `words`. Throws Error if the program
  // cannot be started.
  SuiteProgram(const std::vector<std::string>& arguments, const std::string& words);
  // Kills what still runs.
  ~SuiteProgram();
  SuiteProgram(const SuiteProgram&) = delete;
  SuiteProgram& operator=(const SuiteProgram&) = delete;

  int pidfd() const noexcept { return pidfd_; }  // Readable once the program itself has ended.

  // To the whole group.
  void send(int signal) const noexcept;

  // Kills what the program left behind and takes its end; blocks if it still runs.
  void finish() noexcept;

  bool completed() const noexcept;   // Status 0. After finish().
  int exit_status() const noexcept;  // -1 if a signal ended it. After finish().
  std::string end_in_words() const;  // "died of signal 11 (Segmentation fault)". After finish().

 private:
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int wait_status_ = 0;
  bool reaped_ = false;
};

// SIGINT, SIGTERM and SIGHUP as a descriptor to wait on, instead of an end in the midst of a run.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  int fd() const noexcept { return fd_; }
  // The signal, once; 0 if none has come. Does not block.
  int take() const noexcept;

 private:
  int fd_;
};

}  // namespace sluice::bench
