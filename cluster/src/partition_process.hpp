// SPDX-License-Identifier: Apache-2.0
// The process that runs one partition: this program again, started by the agent and bound to its life. They talk over a line, a
// word each time:
//
//     ready            all is there: of a copy, the files; of one that restores ahead, the memory as well
//     start EPOCH      to one that restores ahead: go on from there
//     begun            its pipeline runs
//     parked           its last checkpoint is stored, and its workers are gone; its memory may take a while
//     error TEXT       why it ends
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
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

// Copying is for when nobody else wants the processor. Added to the agent's own.
inline constexpr int kCopyNice = 10;

class PartitionProcess {
 public:
  struct How {
    int nice = 0;  // Added to what the agent was started with.
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
  // Without waiting: one that has much memory takes a while to be gone.
  void begin_to_kill() noexcept;
  // Its end, if it has come; what is no word of ours is `failed`.
  std::optional<PartitionEnd> ended();

  // Hears what it has said; whether it is ready, or parked, and the last of its errors.
  void hear();
  bool ready() const noexcept { return ready_; }
  bool begun() const noexcept { return begun_; }
  bool parked() const noexcept { return parked_; }
  // By somebody's SIGSTOP, when ended() was asked last.
  bool stopped() const noexcept { return stopped_; }
  // Whether it has ended since a checkpoint of it came behind another host's claim, and was not stored.
  bool refused() const noexcept { return refused_; }
  const std::string& error() const noexcept { return error_; }
  // False when it does not listen.
  bool start_from(std::uint64_t epoch) noexcept;

 private:
  PartitionProcess(pid_t pid, Descriptor line) : pid_{pid}, line_{std::move(line)} {}
  void note(int status) noexcept;

  pid_t pid_;
  Descriptor line_;
  std::string heard_{};
  std::string error_{};
  bool ready_ = false;
  bool begun_ = false;
  bool stopped_ = false;
  bool parked_ = false;
  bool refused_ = false;
  bool asked_ = false;
};

// In such a process. Of the line nothing is inherited by what it starts.
inline constexpr int kAgentLine = 3;
void keep_agent_line() noexcept;
// Ends that one, whose checkpoint was refused, at once. For the process that ships checkpoints: the line is not open there, so its
// agent hears of it by the signal.
void end_refused(pid_t partition) noexcept;
// False when nobody listens any more.
bool tell_agent_ready() noexcept;
void tell_agent_begun() noexcept;
void tell_agent_parked() noexcept;
void tell_agent_error(const std::string& text) noexcept;
// Blocks up to `limit` and less if `other` is readable; no epoch yet, or 0 if the agent is gone.
std::optional<std::uint64_t> hear_agent(int other, std::chrono::milliseconds limit) noexcept;

}  // namespace sluice::detail
