// SPDX-License-Identifier: Apache-2.0
// Exact fixed-point numbers and their sums: no floating point touches money.
//
// A Decimal counts units of 1e-8 in 64 bits, up to 92 billion either way; a DecimalSum is 128 bits wide and says when even
// that is too little. All of these are plain values that may lie in shared memory. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace sluice {

// __extension__ tells -Wpedantic that the compiler's 128-bit integer is meant.
__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

inline constexpr int kDecimalDigits = 8;
inline constexpr std::int64_t kDecimalUnit = 100'000'000;

class Decimal {
 public:
  constexpr Decimal() = default;
  static constexpr Decimal from_units(std::int64_t units) { return Decimal{units}; }

  constexpr std::int64_t units() const { return units_; }
  constexpr bool is_zero() const { return units_ == 0; }
  constexpr bool operator==(const Decimal&) const = default;
  constexpr std::strong_ordering operator<=>(const Decimal& other) const { return units_ <=> other.units_; }

 private:
  constexpr explicit Decimal(std::int64_t units) : units_{units} {}

  std::int64_t units_ = 0;  // In units of 1e-8.
};

inline constexpr std::uint64_t kPowersOfTen[kDecimalDigits + 1] = {1,      10,      100,      1000,     10000,
                                                                   100000, 1000000, 10000000, 100000000};

enum class DecimalFault : std::uint8_t { none, empty, junk, too_precise, overflow };

// A phrase for people: "a character that is no digit".
std::string_view to_text(DecimalFault fault);

struct ParsedDecimal {  // A decimal, or why there is none.
  Decimal value;
  DecimalFault fault = DecimalFault::none;
};

// Reads [+-]digits[.digits], all of the text and nothing else: no spaces, no exponent, at least one digit on
// each side of a point. Zeros behind the eighth fraction digit are allowed, other digits there are not.
constexpr ParsedDecimal parse_decimal(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  if (at == end) return {{}, DecimalFault::empty};
  const bool negative = *at == '-';
  if (negative || *at == '+') ++at;

  // Up to here another digit fits 64 bits.
  constexpr std::uint64_t kMostBeforeDigit = (std::numeric_limits<std::uint64_t>::max() - 9) / 10;
  std::uint64_t magnitude = 0;
  int missing_digits = kDecimalDigits;
  bool overflow = false;
  bool too_precise = false;
  const auto take = [&](unsigned digit) {
    overflow |= magnitude > kMostBeforeDigit;
    magnitude = magnitude * 10 + digit;
  };
  const auto digit_at = [](const char* where) {
    return static_cast<unsigned>(static_cast<unsigned char>(*where)) - '0';
  };

  const char* const whole = at;
  for (; at != end && digit_at(at) <= 9; ++at)
    take(digit_at(at));
  if (at == whole) return {{}, DecimalFault::junk};
  if (at != end && *at == '.') {
    const char* const fraction = ++at;
    for (; at != end && digit_at(at) <= 9; ++at) {
      if (missing_digits > 0) {
        take(digit_at(at));
        --missing_digits;
      } else {
        too_precise |= digit_at(at) != 0;
      }
    }
    if (at == fraction) return {{}, DecimalFault::junk};
  }
  if (at != end) return {{}, DecimalFault::junk};
  for (; missing_digits > 0; --missing_digits)
    take(0);

  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (overflow || magnitude > kMost) return {{}, DecimalFault::overflow};
  if (too_precise) return {{}, DecimalFault::too_precise};
  const auto units = static_cast<std::int64_t>(magnitude);
  return {Decimal::from_units(negative ? -units : units), DecimalFault::none};
}

// A sum of exact values with kDigits fraction digits. add() leaves the sum as it was when it would overflow.
template <int kDigits>
class DecimalSum {
 public:
  constexpr DecimalSum() = default;

  [[nodiscard]] constexpr bool add_units(Int128 units) {
    Int128 sum{};
    if (__builtin_add_overflow(units_, units, &sum)) return false;
    units_ = sum;
    return true;
  }
  [[nodiscard]] constexpr bool subtract_units(Int128 units) {
    Int128 difference{};
    if (__builtin_sub_overflow(units_, units, &difference)) return false;
    units_ = difference;
    return true;
  }

  constexpr Int128 units() const { return units_; }
  constexpr bool operator==(const DecimalSum&) const = default;

 private:
  Int128 units_ = 0;  // In units of 10^-kDigits.
};

// Adds a decimal to a sum of decimals, or takes it away.
[[nodiscard]] constexpr bool add(DecimalSum<kDecimalDigits>& sum, Decimal value) {
  return sum.add_units(value.units());
}
[[nodiscard]] constexpr bool subtract(DecimalSum<kDecimalDigits>& sum, Decimal value) {
  return sum.subtract_units(value.units());
}

// Adds a * b, a product that always fits 128 bits.
[[nodiscard]] constexpr bool add(DecimalSum<2 * kDecimalDigits>& sum, Decimal a, Decimal b) {
  return sum.add_units(static_cast<Int128>(a.units()) * b.units());
}

// Appends the value normalised: no trailing zeros, no exponent, "0" for zero.
void append(std::string& out, Decimal value);
void append(std::string& out, const DecimalSum<kDecimalDigits>& sum);
void append(std::string& out, const DecimalSum<2 * kDecimalDigits>& sum);

std::string to_text(Decimal value);
template <int kDigits>
std::string to_text(const DecimalSum<kDigits>& sum) {
  std::string out;
  append(out, sum);
  return out;
}

}  // namespace sluice
