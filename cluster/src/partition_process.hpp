// SPDX-License-Identifier: Apache-2.0
// The process that runs one partition: this program again, started by the agent and bound to its life.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

// How it ends: words between a partition's process and its agent, and no exit statuses of a program that a person starts.
enum class PartitionEnd {
  finished = 10,  // Its sources came to their end, and everything is handled.
  parked = 11,    // Its last checkpoint is stored, and another host can go on.
  fenced = 12,    // Another host has taken it.
  away = 13,      // The server is away.
  failed = 14,    // Anything else; it has said why.
};

class PartitionProcess {
 public:
  struct How {
    int nice = 0;     // Added to the agent's own.
    int output = -1;  // Its standard output; else the agent's.
  };
  // Starts this program with `arguments`. Throws Error.
  static PartitionProcess start(const std::vector<std::string>& arguments, How how);
  static PartitionProcess start(const std::vector<std::string>& arguments) { return start(arguments, {}); }

  pid_t pid() const noexcept { return pid_; }
  // Asks it to park; once.
  void ask_to_park() noexcept;
  bool asked() const noexcept { return asked_; }
  // With all its workers, and waits for its end.
  void kill() noexcept;
  // Its end, if it has come; what is no word of ours is `failed`.
  std::optional<PartitionEnd> ended();

 private:
  explicit PartitionProcess(pid_t pid) : pid_{pid} {}

  pid_t pid_;
  bool asked_ = false;
};

}  // namespace sluice::detail
