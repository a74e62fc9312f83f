// SPDX-License-Identifier: Apache-2.0
// Reads a line of deaths.jsonl: the fields of its object that are texts, numbers or words. Pure; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::command {

class ReportLine {
 public:
  // Nothing for what is no whole object of JSON: a line that was cut, or that somebody else wrote.
  static std::optional<ReportLine> read(std::string_view line);

  // As it stands there, escapes undone, and not fit to be shown: it may hold anything. Empty if there is none.
  std::string_view text(std::string_view name) const noexcept;
  // 0 if there is none, or it is no number.
  std::uint64_t number(std::string_view name) const noexcept;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace sluice::command
