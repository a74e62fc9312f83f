// SPDX-License-Identifier: Apache-2.0
#include "log/log.hpp"

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>

namespace sluice::detail {

void Log::say(LogLevel level, std::string_view kind, std::string_view worker, std::string_view text) {
  if (!says(level) || !limit_.allows(monotonic_now())) return;
  tell_held_back();
  if (!send(level, kind, worker, text)) limit_.count_held_back();
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

void Log::tell_held_back() {
  if (limit_.held_back() == 0) return;
  const std::string text =
      fmt::format("{} lines of the log were held back: too many at a time", limit_.held_back());
  if (send(LogLevel::warning, "held back", {}, text)) limit_.take_held_back();
}

}  // namespace sluice::detail
