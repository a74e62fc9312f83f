// SPDX-License-Identifier: Apache-2.0
// Padding, escapes, line breaks.

#include "terminal.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace sluice::bench {
namespace {

std::string_view escape(Look look) noexcept {
  switch (look) {
    case Look::bold:
      return "\x1b[1m";
    case Look::faint:
      return "\x1b[2m";
    case Look::good:
      return "\x1b[32m";
    case Look::bad:
      return "\x1b[31m";
    case Look::warning:
      return "\x1b[33m";
    case Look::plain:
      break;
  }
  return "";
}

}  // namespace

std::string Pen::text(std::string_view text, Look look) const {
  if (!colours_ || look == Look::plain || text.empty()) return std::string{text};
  return fmt::format("{}{}\x1b[0m", escape(look), text);
}

std::string Pen::left(std::string_view text, std::size_t width, Look look) const {
  return this->text(text, look) + std::string(width - std::min(width, text.size()), ' ');
}

std::string Pen::right(std::string_view text, std::size_t width, Look look) const {
  return std::string(width - std::min(width, text.size()), ' ') + this->text(text, look);
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns) {
  const std::size_t width = columns - indent;
  std::string lines;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    if (end > width) {
      end = text.rfind(' ', width);
      if (end == std::string_view::npos || end == 0) end = width;
    }
    lines += std::string(indent, ' ') + std::string{text.substr(0, end)} + "\n";
    text.remove_prefix(end);
    if (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  }
  return lines;
}

std::string without_trailing_blanks(std::string_view text) {
  std::string trimmed;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = text.substr(start, end - start);
    line = line.substr(0, line.find_last_not_of(' ') + 1);
    trimmed.append(line).append(end < text.size() ? "\n" : "");
    start = end + 1;
  }
  return trimmed;
}

}  // namespace sluice::bench
