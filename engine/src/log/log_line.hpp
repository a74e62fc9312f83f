// SPDX-License-Identifier: Apache-2.0
// A line of the log: what happened to a pipeline, said when it happens. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::detail {

// The key log.level: each says what those before it say, and more.
enum class LogLevel : std::uint8_t { off, error, warning, info };
// The key log.format. `journal` is a text for systemd's journal, which has times and names of its own.
enum class LogFormat : std::uint8_t { text, json, journal };

struct LogSettings {
  LogLevel level = LogLevel::warning;
  LogFormat format = LogFormat::text;
  bool by_itself = true;  // The key is `auto`: where the log goes to systemd's journal, it is for that.
};

// What one line is cut to, its end included: a pipe takes so many bytes in one piece. Source: pipe(7), PIPE_BUF.
inline constexpr std::size_t kMostLogBytes = 4096;

struct LogLine {
  LogLevel level = LogLevel::warning;
  std::string_view kind{};      // As the report of the same has it: "death".
  std::string_view pipeline{};  // Its name.
  std::string_view worker{};    // "parse/1"; empty when it is about none.
  std::string_view text{};      // What happened, with the worker's name in it.
};

// With the line end. Whatever came from outside is escaped, and the whole is one line.
//   text     2026-11-26T22:50:01.123456Z warning market: parse/1 died: ...
//   json     {"schema":2,"report":"death","time":...,"pipeline":...,"version":...,"level":"warning","worker":...,"text":...}
//   journal  <4>market: parse/1 died: ...       Source: sd-daemon(3), the numbers are those of syslog(3)
std::string to_text(const LogLine& line, LogFormat format, std::chrono::system_clock::time_point now);

// How many lines a second are said: what happens too often is counted, and the log says how much it kept back.
class LogLimit {
 public:
  // At most `burst` at once, and `per_second` in the long run.
  LogLimit(double burst, double per_second) noexcept : burst_{burst}, per_second_{per_second}, left_{burst} {}
  // Whether a line may be said at `now`; one that may not is counted.
  bool allows(std::chrono::nanoseconds now) noexcept;
  // Whether allows() would say so; counts nothing.
  bool has_room(std::chrono::nanoseconds now) const noexcept;
  void count_held_back() noexcept { ++held_back_; }
  // Those that were counted since the last call.
  std::uint64_t take_held_back() noexcept;
  std::uint64_t held_back() const noexcept { return held_back_; }

 private:
  double left_at(std::chrono::nanoseconds now) const noexcept;

  double burst_;
  double per_second_;
  double left_;
  std::chrono::nanoseconds last_{0};
  std::uint64_t held_back_ = 0;
};

}  // namespace sluice::detail
