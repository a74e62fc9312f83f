// SPDX-License-Identifier: Apache-2.0
#include "market/events.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace market {

RowText& RowText::key(std::int64_t number) {
  return key(fmt::format("{:020d}", static_cast<std::uint64_t>(number) ^ (std::uint64_t{1} << 63)));
}

RowText& RowText::number(std::int64_t number) {
  return field(fmt::format("{}", number));
}

std::string rejected_row(std::string_view file, std::uint64_t line, std::string_view reason) {
  // A reason can quote the input; a row must stay a row.
  std::string clean{reason};
  std::replace_if(
      clean.begin(), clean.end(), [](unsigned char c) { return c < 0x20; }, '?');
  const auto number = static_cast<std::int64_t>(line);
  return RowText{}.key(file).key(number).field(file).number(number).field(clean).text();
}

}  // namespace market
