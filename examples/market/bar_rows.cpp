// SPDX-License-Identifier: Apache-2.0
#include "market/bar_rows.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include <sluice/error.hpp>

#include "market/decimal.hpp"
#include "market/events.hpp"

namespace market {
namespace {

enum Field : std::size_t { kVenue, kSymbol, kSecond, kOpen, kHigh, kLow, kClose, kVolume, kTrades, kFields };
using Fields = std::array<std::string_view, kFields>;

[[noreturn]] void refuse(std::string_view row) {
  throw sluice::Error{{"merge the bars of", std::string{row.substr(row.find(kKeySeparator) + 1)},
                       "it is no row of a bar", "somebody else has changed the part file"}};
}

// What tells a bar: everything before its prices.
std::string_view name_of(std::string_view row) {
  row.remove_prefix(std::min(row.find(kKeySeparator), row.size() - 1) + 1);
  std::size_t end = 0;
  for (std::size_t field = 0; field <= kSecond && end != std::string_view::npos; ++field)
    end = row.find('\t', end + (field == 0 ? 0 : 1));
  return row.substr(0, end);
}

Fields fields_of(std::string_view row) {
  std::string_view rest = row.substr(row.find(kKeySeparator) + 1);
  Fields fields;
  for (std::size_t i = 0; i < kFields; ++i) {
    const std::size_t end = i + 1 == kFields ? rest.size() : rest.find('\t');
    if (end == std::string_view::npos) refuse(row);
    fields[i] = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return fields;
}

Decimal decimal_of(std::string_view row, std::string_view text) {
  const sluice::ParsedDecimal parsed = parse_decimal(text);
  if (parsed.fault != DecimalFault::none) refuse(row);
  return parsed.value;
}

// The text of a sum has as many digits as 128 bits hold, more than a Decimal reads.
QuantitySum sum_of(std::string_view row, std::string_view text) {
  const bool negative = text.starts_with('-');
  UInt128 magnitude = 0;
  int fraction_digits = -1;  // Behind the point, once there was one.
  for (const char c : text.substr(negative ? 1 : 0)) {
    if (c == '.' && fraction_digits < 0) {
      fraction_digits = 0;
      continue;
    }
    if (c < '0' || c > '9' || fraction_digits == kDecimalDigits) refuse(row);
    magnitude = magnitude * 10 + static_cast<unsigned>(c - '0');
    if (fraction_digits >= 0) ++fraction_digits;
  }
  magnitude *= kPowersOfTen[kDecimalDigits - std::max(fraction_digits, 0)];
  QuantitySum sum;
  if (!sum.add_units(static_cast<Int128>(negative ? 0 - magnitude : magnitude))) refuse(row);
  return sum;
}

std::int64_t count_of(std::string_view row, std::string_view text) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || end != text.data() + text.size()) refuse(row);
  return count;
}

// The parts stand in the order of their trades: the first opens the bar, the last closes it.
std::string merged(const std::vector<std::string_view>& parts) {
  const Fields first = fields_of(parts.front());
  Decimal high = decimal_of(parts.front(), first[kHigh]);
  Decimal low = decimal_of(parts.front(), first[kLow]);
  QuantitySum volume;
  std::int64_t trades = 0;
  for (const std::string_view part : parts) {
    const Fields fields = fields_of(part);
    high = std::max(high, decimal_of(part, fields[kHigh]));
    low = std::min(low, decimal_of(part, fields[kLow]));
    // What does not fit here does not fit the total of the instrument, which says so.
    (void)volume.add_units(sum_of(part, fields[kVolume]).units());
    trades += count_of(part, fields[kTrades]);
  }
  RowText row;
  row.field(name_of(parts.front())).field(first[kOpen]).decimal(high).decimal(low);
  row.field(fields_of(parts.back())[kClose]).decimal(volume).number(trades);
  return row.text();
}

}  // namespace

std::vector<std::string_view> merge_bars(std::vector<std::string_view> rows, std::deque<std::string>& made) {
  std::vector<std::string_view> bars;
  bars.reserve(rows.size());
  for (std::size_t begin = 0; begin < rows.size();) {
    std::size_t end = begin + 1;
    while (end < rows.size() && name_of(rows[end]) == name_of(rows[begin]))
      ++end;
    if (end == begin + 1) {
      bars.push_back(rows[begin]);
    } else {
      const std::vector<std::string_view> parts{rows.begin() + static_cast<std::ptrdiff_t>(begin),
                                                rows.begin() + static_cast<std::ptrdiff_t>(end)};
      bars.push_back(made.emplace_back(merged(parts)));
    }
    begin = end;
  }
  return bars;
}

}  // namespace market
