// SPDX-License-Identifier: Apache-2.0
#include "log/log_line.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/printable.hpp>

#include "death/report_head.hpp"

namespace sluice::detail {
namespace {

std::string_view name_of(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::error:
      return "error";
    case LogLevel::info:
      return "info";
    default:
      return "warning";
  }
}

int priority_of(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::error:
      return 3;
    case LogLevel::info:
      return 6;
    default:
      return 4;
  }
}

std::string json_line(const LogLine& line, std::string_view text) {
  std::string worker;
  if (!line.worker.empty()) worker = fmt::format(R"("worker":{},)", json_text(line.worker));
  return fmt::format(R"({{{},"level":"{}",{}"text":{}}})", report_head(line.kind, line.pipeline),
                     name_of(line.level), worker, json_text(text));
}

std::string line_of(const LogLine& line, LogFormat format, std::chrono::system_clock::time_point now,
                    std::string_view text) {
  switch (format) {
    case LogFormat::json:
      return json_line(line, text);
    case LogFormat::journal:
      return fmt::format("<{}>{}: {}", priority_of(line.level), printable(line.pipeline), printable(text));
    default:
      return fmt::format("{} {} {}: {}", utc_text(now), name_of(line.level), printable(line.pipeline),
                         printable(text));
  }
}

}  // namespace

std::string to_text(const LogLine& line, LogFormat format, std::chrono::system_clock::time_point now) {
  std::string said = line_of(line, format, now, line.text);
  // What it grows by when it is escaped is not known before.
  for (std::size_t most = line.text.size(); said.size() >= kMostLogBytes && most > 0;) {
    most = most * 3 / 4;
    std::string cut{cut_text(line.text, most)};
    said = line_of(line, format, now, cut.append("..."));
  }
  said += '\n';
  return said;
}

double LogLimit::left_at(std::chrono::nanoseconds now) const noexcept {
  const std::chrono::duration<double> passed = now - (last_.count() == 0 ? now : last_);
  return std::min(burst_, left_ + passed.count() * per_second_);
}

bool LogLimit::has_room(std::chrono::nanoseconds now) const noexcept {
  return left_at(now) >= 1;
}

bool LogLimit::allows(std::chrono::nanoseconds now) noexcept {
  left_ = left_at(now);
  last_ = now;
  if (left_ < 1) {
    ++held_back_;
    return false;
  }
  left_ -= 1;
  return true;
}

std::uint64_t LogLimit::take_held_back() noexcept {
  const std::uint64_t held_back = held_back_;
  held_back_ = 0;
  return held_back;
}

}  // namespace sluice::detail
