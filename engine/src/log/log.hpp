// SPDX-License-Identifier: Apache-2.0
// The log as those see it who have something to say: the master, and the supervisor.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "log/log_channel.hpp"
#include "log/log_line.hpp"

namespace sluice::detail {

// By one thread. Never blocks; a line that has no room, or comes too soon, is counted, and how many were held back is
// said before the next that is said, or when there is room again, but not more than once a second. Errors are limited apart
// from what is less serious.
class Log {
 public:
  // Both must outlive it.
  Log(const LogChannel& channel, const LogSettings& settings, std::string_view pipeline)
      : channel_{channel}, settings_{settings}, pipeline_{pipeline} {}

  bool says(LogLevel level) const noexcept {
    return channel_.is_open() && level != LogLevel::off && level <= settings_.level;
  }
  // `worker` may be empty. Whether it was said.
  bool say(LogLevel level, std::string_view kind, std::string_view worker, std::string_view text);
  // Whether a line of that level would not be held back.
  bool has_room(LogLevel level) const noexcept;
  // From time to time: says what was held back, once there is room.
  void look();
  // How it ended, which is never held back for coming too soon; behind what was.
  void last_word(LogLevel level, std::string_view kind, std::string_view text);

 private:
  bool send(LogLevel level, std::string_view kind, std::string_view worker, std::string_view text);
  void tell_held_back();
  void tell_held_back_if_due();
  LogLimit& limit_of(LogLevel level) noexcept { return level == LogLevel::error ? errors_ : others_; }

  const LogChannel& channel_;
  const LogSettings& settings_;
  std::string pipeline_;
  LogLimit errors_{kBurst, kPerSecond};
  LogLimit others_{kBurst, kPerSecond};
  std::chrono::nanoseconds next_told_{0};  // What is held back.

  static constexpr double kBurst = 100;
  static constexpr double kPerSecond = 20;
};

}  // namespace sluice::detail
