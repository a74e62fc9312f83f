// SPDX-License-Identifier: Apache-2.0
// A program as a child process: started, watched by its pidfd, and its end as a status.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace sluice::command {

class ChildProgram {
 public:
  // Looks `arguments[0]` up in PATH, as a shell does. What it prints goes to the descriptor `output`, and it reads
  // nothing; -1: as for this process. Throws Error if it cannot be run.
  explicit ChildProgram(const std::vector<std::string>& arguments, int output = -1);
  // Kills it if it still runs, and what it has started with an `output` of its own.
  ~ChildProgram();
  ChildProgram(const ChildProgram&) = delete;
  ChildProgram& operator=(const ChildProgram&) = delete;

  int pidfd() const noexcept { return pidfd_; }  // Readable once it has ended.
  void send(int signal) const noexcept;

  // Blocks until it has ended. As a shell tells it: the exit status, or 128 and the signal.
  int status();
  // "ended with status 3", "died of signal 11 (Segmentation fault)"; after status().
  std::string end_in_words() const;

 private:
  pid_t pid_ = 0;
  int pidfd_ = -1;
  int wait_status_ = 0;
  bool reaped_ = false;
  bool has_group_ = false;
};

}  // namespace sluice::command
