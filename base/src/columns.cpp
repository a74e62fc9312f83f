// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/columns.hpp"

#include <algorithm>
#include <cstdint>

namespace sluice::detail {
namespace {

struct Shown {
  std::size_t bytes;
  std::size_t columns;
};

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};
// What has a width of W or F, in whole blocks. Source: Unicode 15, EastAsianWidth.txt.
constexpr Range kWide[] = {{0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},  {0x23e9, 0x23f3},
                           {0x25fd, 0x25fe},   {0x2614, 0x27bf},   {0x2b1b, 0x2b55},  {0x2e80, 0x303e},
                           {0x3041, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},  {0xf900, 0xfaff},
                           {0xfe10, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},  {0x16fe0, 0x18dff},
                           {0x1aff0, 0x1b2ff}, {0x1f000, 0x1faff}, {0x20000, 0x3fffd}};

// A byte that is no text takes one column, as whatever a terminal shows for it.
Shown first_of(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t bytes = lead < 0xc0 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (bytes == 1 || bytes > text.size()) return {1, 1};
  std::uint32_t code = lead & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0U) != 0x80) return {1, 1};
    code = code << 6U | (next & 0x3fU);
  }
  const bool wide = std::any_of(std::begin(kWide), std::end(kWide), [code](const Range& range) {
    return code >= range.first && code <= range.last;
  });
  return {bytes, wide ? 2U : 1U};
}

}  // namespace

std::size_t columns_of(std::string_view text) noexcept {
  std::size_t columns = 0;
  while (!text.empty()) {
    const Shown next = first_of(text);
    columns += next.columns;
    text.remove_prefix(next.bytes);
  }
  return columns;
}

std::string_view cut_to_columns(std::string_view text, std::size_t columns) noexcept {
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const Shown next = first_of(text.substr(bytes));
    if (next.columns > columns) break;
    columns -= next.columns;
    bytes += next.bytes;
  }
  return text.substr(0, bytes);
}

}  // namespace sluice::detail
