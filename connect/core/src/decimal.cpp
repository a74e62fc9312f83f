// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/decimal.hpp"

#include <array>

namespace sluice {
namespace {

// Digits are made from the last to the first; zeros behind the last one that counts are never written.
template <class Unsigned>
void append_scaled(std::string& out, bool negative, Unsigned magnitude, int fraction_digits) {
  constexpr std::size_t kMostCharacters = 48;  // 39 digits of 2^128, a point, a sign.
  std::array<char, kMostCharacters> buffer{};
  char* const end = buffer.data() + buffer.size();
  char* at = end;
  for (int left = fraction_digits; left > 0; --left) {
    const auto digit = static_cast<char>('0' + static_cast<int>(magnitude % 10));
    magnitude /= 10;
    if (at != end || digit != '0') *--at = digit;
  }
  if (at != end) *--at = '.';
  do {
    *--at = static_cast<char>('0' + static_cast<int>(magnitude % 10));
    magnitude /= 10;
  } while (magnitude != 0);
  if (negative) *--at = '-';
  out.append(at, static_cast<std::size_t>(end - at));
}

void append_sum(std::string& out, Int128 units, int fraction_digits) {
  // The unsigned negation is defined for the smallest value too.
  const UInt128 magnitude = units < 0 ? -static_cast<UInt128>(units) : static_cast<UInt128>(units);
  append_scaled(out, units < 0, magnitude, fraction_digits);
}

}  // namespace

std::string_view to_text(DecimalFault fault) {
  switch (fault) {
    case DecimalFault::none:
      return "a decimal";
    case DecimalFault::empty:
      return "it is empty";
    case DecimalFault::junk:
      return "a character stands where a digit is needed";
    case DecimalFault::too_precise:
      return "more than 8 fraction digits";
    case DecimalFault::overflow:
      return "too large for 64 bits of 1e-8";
  }
  return "unknown";
}

void append(std::string& out, Decimal value) {
  const std::int64_t units = value.units();
  const auto magnitude = units < 0 ? -static_cast<std::uint64_t>(units) : static_cast<std::uint64_t>(units);
  append_scaled(out, units < 0, magnitude, kDecimalDigits);
}

void append(std::string& out, const DecimalSum<kDecimalDigits>& sum) {
  append_sum(out, sum.units(), kDecimalDigits);
}

void append(std::string& out, const DecimalSum<2 * kDecimalDigits>& sum) {
  append_sum(out, sum.units(), 2 * kDecimalDigits);
}

std::string to_text(Decimal value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace sluice
