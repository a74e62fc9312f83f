// SPDX-License-Identifier: Apache-2.0
#include "death/report_log.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/printable.hpp>

#include "death/report_file.hpp"

namespace sluice::detail {

std::string json_lines(std::string_view name, std::string_view text) {
  std::string json;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (!json.empty()) json += ',';
    json += json_text(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fmt::format("\"{}\":[{}]", name, json);
}

bool ReportLog::append(std::string_view fields, std::string_view more) const noexcept {
  if (try_to_append(fields, more)) return true;
  // relaxed: own word, for people.
  if (lost_ != nullptr) lost_->store(lost_->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return false;
}

bool ReportLog::try_to_append(std::string_view fields, std::string_view more) const noexcept {
  return append_report(path_, fields, more);
}

}  // namespace sluice::detail
