// SPDX-License-Identifier: Apache-2.0
#include "market/events.hpp"

#include <fmt/format.h>

#include <sluice/printable.hpp>

namespace market {

RowText& RowText::key(std::int64_t number) {
  return key(fmt::format("{:020d}", static_cast<std::uint64_t>(number) ^ (std::uint64_t{1} << 63)));
}

RowText& RowText::number(std::int64_t number) {
  return field(fmt::format("{}", number));
}

std::string rejected_row(std::string_view file, std::uint64_t line, std::string_view reason) {
  // Both come from outside; a row must stay a row, and a terminal that shows it stay as it is.
  const std::string name = sluice::printable(file);
  const auto number = static_cast<std::int64_t>(line);
  return RowText{}.key(name).key(number).field(name).number(number).field(sluice::printable(reason)).text();
}

}  // namespace market
