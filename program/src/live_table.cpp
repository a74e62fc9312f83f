// SPDX-License-Identifier: Apache-2.0
#include "live_table.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/columns.hpp>
#include <sluice/detail/counted.hpp>

namespace sluice::detail {
namespace {

// Asked for at each drawing: windows are resized. One that does not tell is taken for the usual one.
TerminalSize size_of_terminal() {
  TerminalSize size;
  winsize told{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &told) != 0) return size;
  if (told.ws_row != 0) size.rows = told.ws_row;
  if (told.ws_col != 0) size.columns = told.ws_col;
  return size;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

std::vector<std::string> fitted(const std::string& text, TerminalSize size) {
  const std::size_t columns = std::max<std::size_t>(size.columns, 2) - 1;
  const std::size_t rows = std::max<std::size_t>(size.rows, 2) - 1;
  const std::vector<std::string_view> lines = lines_of(text);
  const bool all = lines.size() <= rows;
  const std::size_t kept = all ? lines.size() : rows - 1;
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < kept; ++i)
    shown.emplace_back(cut_to_columns(lines[i], columns));
  if (!all)
    shown.emplace_back(
        cut_to_columns(fmt::format("... {} more", counted(lines.size() - kept, "line")), columns));
  return shown;
}

bool can_draw_table() {
  const char* const name = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && name != nullptr && *name != '\0' && std::string_view{name} != "dumb";
}

void LiveTable::draw(const std::string& text) {
  if (!shown_) return;
  clear();
  std::string all;
  for (const std::string& line : fitted(text, size_of_terminal())) {
    drawn_.push_back(columns_of(line));
    all.append(line).append("\n");
  }
  std::fwrite(all.data(), 1, all.size(), stderr);
}

void LiveTable::clear() {
  if (drawn_.empty()) return;
  // A terminal that has become narrower since has broken the lines anew; what has left the screen at its top is not
  // reached any more.
  const TerminalSize size = size_of_terminal();
  std::size_t rows = 0;
  for (const std::size_t columns : drawn_)
    rows += std::max<std::size_t>((columns + size.columns - 1) / size.columns, 1);
  rows = std::min(rows, std::max<std::size_t>(size.rows, 2) - 1);
  // Up to the table's first line, and erase from there to the end of the screen. Source: ECMA-48, CPL and ED.
  std::fprintf(stderr, "\033[%zuF\033[J", rows);
  drawn_.clear();
}

}  // namespace sluice::detail
