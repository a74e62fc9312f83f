// SPDX-License-Identifier: Apache-2.0
#include "position_header.hpp"

#include <charconv>
#include <iterator>

#include <fmt/format.h>

namespace sluice::detail {
namespace {

// Takes the number that `text` begins with, and the letter behind it if it is `end`.
template <class Number>
bool take(std::string_view& text, Number& number, char end, int base = 10) {
  const auto [behind, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(behind - text.data()));
  if (end == '\0') return true;
  if (text.empty() || text.front() != end) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string to_header(const PositionHeader& header) {
  std::string text = fmt::format("2 {:x} {:x} {}", header.origin, header.life, header.turn);
  for (const Sent& sent : header.sent)
    fmt::format_to(std::back_inserter(text), " {}:{}:{}", sent.lane, sent.position, sent.count);
  return text;
}

std::optional<PositionHeader> read_header(std::string_view text) {
  PositionHeader header;
  unsigned version = 0;
  if (!take(text, version, ' ') || version < 1 || version > 2) return std::nullopt;
  if (!take(text, header.origin, ' ', 16)) return std::nullopt;
  if (version == 2 && !take(text, header.life, ' ', 16)) return std::nullopt;
  if (!take(text, header.turn, '\0')) return std::nullopt;
  while (!text.empty()) {
    Sent sent;
    if (text.front() != ' ') return std::nullopt;
    text.remove_prefix(1);
    if (!take(text, sent.lane, ':') || !take(text, sent.position, ':') || !take(text, sent.count, '\0'))
      return std::nullopt;
    header.sent.push_back(sent);
  }
  if (header.sent.empty()) return std::nullopt;
  return header;
}

}  // namespace sluice::detail
