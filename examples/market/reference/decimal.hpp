// SPDX-License-Identifier: Apache-2.0
// Exact decimal numbers for the reference: a 128-bit mantissa and a scale of its own for every number.
//
// The pipeline under test counts money in 64-bit fixed point; this is a different way on purpose, so that a
// mistake in one does not hide in the other.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace reference {

__extension__ typedef __int128 Int128;

// Invariant: the mantissa does not end in a decimal zero unless the scale is 0, so equal numbers are equal
// member by member, and text() needs no rounding or trimming.
class Decimal {
 public:
  Decimal() = default;

  // Digits, at most one point between digits, an optional sign. Nothing for any other text, and for more
  // than 18 digits, which no exchange sends and which would leave no room for a product.
  static std::optional<Decimal> parse(std::string_view text);

  bool is_zero() const noexcept { return mantissa_ == 0; }
  std::string text() const;  // No exponent, no trailing zeros.

  // Arithmetic throws std::overflow_error rather than give a wrong number.
  friend Decimal operator+(Decimal left, Decimal right);
  friend Decimal operator*(Decimal left, Decimal right);
  friend std::strong_ordering operator<=>(Decimal left, Decimal right);
  friend bool operator==(Decimal left, Decimal right) = default;

 private:
  Decimal(Int128 mantissa, int scale);

  Int128 mantissa_ = 0;
  int scale_ = 0;  // The value is mantissa_ / 10^scale_.
};

}  // namespace reference
