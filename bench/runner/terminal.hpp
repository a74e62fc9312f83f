// SPDX-License-Identifier: Apache-2.0
// Cells, colours and wrapped lines for the tables of a terminal. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::bench {

enum class Look { plain, bold, faint, good, bad, warning };

class Pen {
 public:
  explicit Pen(bool colours) noexcept : colours_{colours} {}

  // Padded first, so that escapes do not count; longer text is kept whole.
  std::string left(std::string_view text, std::size_t width, Look look = Look::plain) const;
  std::string right(std::string_view text, std::size_t width, Look look = Look::plain) const;
  std::string text(std::string_view text, Look look) const;

 private:
  bool colours_;
};

// Lines of at most `columns`, all indented; breaks between words where there are any.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns);

// Without blanks at the ends of its lines, which padding leaves.
std::string without_trailing_blanks(std::string_view text);

}  // namespace sluice::bench
