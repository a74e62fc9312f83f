// SPDX-License-Identifier: Apache-2.0
#include "log/log.hpp"

#include <chrono>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>

namespace sluice::detail {

bool Log::say(LogLevel level, std::string_view kind, std::string_view worker, std::string_view text) {
  if (!says(level) || !limit_of(level).allows(monotonic_now())) return false;
  tell_held_back_if_due();
  const bool said = send(level, kind, worker, text);
  if (!said) limit_of(level).count_held_back();
  return said;
}

bool Log::has_room(LogLevel level) const noexcept {
  return (level == LogLevel::error ? errors_ : others_).has_room(monotonic_now());
}

void Log::look() {
  if (says(LogLevel::warning) && others_.has_room(monotonic_now())) tell_held_back_if_due();
}

void Log::last_word(LogLevel level, std::string_view kind, std::string_view text) {
  if (says(LogLevel::warning)) tell_held_back();
  if (says(level)) send(level, kind, {}, text);
}

bool Log::send(LogLevel level, std::string_view kind, std::string_view worker, std::string_view text) {
  const LogLine line{level, kind, pipeline_, worker, text};
  const bool journal = settings_.by_itself && channel_.to_journal();
  return channel_.send(
      to_text(line, journal ? LogFormat::journal : settings_.format, std::chrono::system_clock::now()));
}

void Log::tell_held_back_if_due() {
  if (monotonic_now() >= next_told_) tell_held_back();
}

void Log::tell_held_back() {
  const std::uint64_t held_back = errors_.held_back() + others_.held_back();
  if (held_back == 0) return;
  const std::string text = fmt::format("{} of the log {} held back: too many at a time",
                                       held_back == 1 ? "a line" : fmt::format("{} lines", held_back),
                                       held_back == 1 ? "was" : "were");
  if (!send(LogLevel::warning, "held back", {}, text)) return;
  next_told_ = monotonic_now() + std::chrono::seconds{1};
  errors_.take_held_back();
  others_.take_held_back();
}

}  // namespace sluice::detail
