// SPDX-License-Identifier: Apache-2.0
#include "fold.hpp"

#include <algorithm>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

#include <sluice/detail/columns.hpp>

namespace sluice::command {
namespace {

constexpr std::size_t kFoldIndent = 2;
constexpr std::size_t kUsualColumns = 80;

std::string trimmed_behind(std::string_view text) {
  return std::string{text.substr(0, text.find_last_not_of(' ') + 1)};
}

// Of the rest of a line, which begins at column `at` of it, what stands in one line: behind a field of its table where one ends
// there, else behind a blank, else as much as there is room for.
std::size_t bytes_of_piece(std::string_view rest, std::size_t at, std::span<const std::size_t> fields,
                           std::size_t room) {
  if (detail::columns_of(rest) <= room) return rest.size();
  std::size_t field_end = 0;
  for (const std::size_t end : fields) {
    if (end > at && end - at <= room) field_end = end - at;
  }
  if (field_end != 0) return detail::cut_to_columns(rest, field_end).size();
  const std::size_t most = std::max<std::size_t>(detail::cut_to_columns(rest, room).size(), 1);
  const std::size_t first = rest.find_first_not_of(' ');
  const std::size_t blank = rest.rfind(' ', most - 1);
  return blank == std::string_view::npos || blank < first ? most : blank + 1;
}

// What `folded` makes of each line.
template <class Fold>
void print_lines(std::string_view text, const Fold& folded) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    for (const std::string& line : folded(text.substr(0, end)))
      print_exactly(line + "\n");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

std::vector<std::string> fold(std::string_view line, std::size_t columns,
                              std::span<const std::size_t> fields) {
  if (columns == 0) return {std::string{line}};
  std::vector<std::string> narrow;
  std::size_t at = 0;  // Where the rest begins in the line, in columns.
  // Rows of a table begin with blanks where their first field is a number.
  const std::size_t begins = fields.empty() ? std::min(line.find_first_not_of(' '), columns / 4) : 0;
  const std::size_t indent = columns < 2 * kFoldIndent ? 0 : begins + kFoldIndent;
  while (true) {
    const std::size_t room = columns - (at == 0 ? 0 : indent);
    const std::size_t bytes = bytes_of_piece(line, at, fields, room);
    const std::string_view piece = line.substr(0, bytes);
    const std::string text = trimmed_behind(piece);
    if (at == 0 || !text.empty()) narrow.push_back(std::string(at == 0 ? 0 : indent, ' ') + text);
    if (bytes == line.size()) return narrow;
    at += detail::columns_of(piece);
    line.remove_prefix(bytes);
  }
}

void print(std::string_view text, std::span<const std::size_t> fields) {
  const std::size_t columns = columns_of_output();
  if (columns == 0) return print_exactly(text);
  print_lines(text, [&](std::string_view line) { return fold(line, columns, fields); });
}

void print_prose(std::string_view text) {
  const std::size_t columns = columns_of_output();
  print_lines(text, [&](std::string_view line) {
    const bool row = line.find("  ") != std::string_view::npos;
    return fold(line, columns == 0 && !row ? kUsualColumns : columns);
  });
}

void print_exactly(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

std::size_t columns_of_output() noexcept {
  winsize told{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &told) == 0 ? told.ws_col : 0;
}

}  // namespace sluice::command
