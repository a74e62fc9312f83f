// SPDX-License-Identifier: Apache-2.0
#include "decimal.hpp"

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace reference {
namespace {

constexpr std::size_t kMaxDigits = 18;

[[noreturn]] void overflow() {
  throw std::overflow_error{"a sum of decimals needs more than 128 bits"};
}

Int128 scaled_up(Int128 mantissa, int digits) {
  for (; digits > 0; --digits) {
    if (__builtin_mul_overflow(mantissa, Int128{10}, &mantissa)) overflow();
  }
  return mantissa;
}

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

}  // namespace

Decimal::Decimal(Int128 mantissa, int scale) : mantissa_{mantissa}, scale_{scale} {
  while (scale_ > 0 && mantissa_ % 10 == 0) {
    mantissa_ /= 10;
    --scale_;
  }
}

std::optional<Decimal> Decimal::parse(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const std::size_t point = text.find('.');
  std::string_view whole = text.substr(0, point);
  std::string_view fraction;
  if (point != std::string_view::npos) {
    fraction = text.substr(point + 1);
    if (!all_digits(fraction)) return std::nullopt;
  }
  if (!all_digits(whole)) return std::nullopt;
  while (whole.starts_with('0'))
    whole.remove_prefix(1);
  while (fraction.ends_with('0'))
    fraction.remove_suffix(1);
  if (whole.size() + fraction.size() > kMaxDigits) return std::nullopt;

  Int128 mantissa = 0;
  for (const char digit : whole)
    mantissa = mantissa * 10 + (digit - '0');
  for (const char digit : fraction)
    mantissa = mantissa * 10 + (digit - '0');
  return Decimal{negative ? -mantissa : mantissa, static_cast<int>(fraction.size())};
}

std::string Decimal::text() const {
  std::string digits;
  for (Int128 rest = mantissa_ < 0 ? -mantissa_ : mantissa_; rest != 0; rest /= 10) {
    digits.push_back(static_cast<char>('0' + static_cast<int>(rest % 10)));
  }
  const auto fraction = static_cast<std::size_t>(scale_);
  while (digits.size() <= fraction)
    digits.push_back('0');
  if (fraction > 0) digits.insert(fraction, 1, '.');
  if (mantissa_ < 0) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

Decimal operator+(Decimal left, Decimal right) {
  const int scale = std::max(left.scale_, right.scale_);
  Int128 sum = 0;
  if (__builtin_add_overflow(scaled_up(left.mantissa_, scale - left.scale_),
                             scaled_up(right.mantissa_, scale - right.scale_), &sum)) {
    overflow();
  }
  return Decimal{sum, scale};
}

Decimal operator*(Decimal left, Decimal right) {
  Int128 product = 0;
  if (__builtin_mul_overflow(left.mantissa_, right.mantissa_, &product)) overflow();
  return Decimal{product, left.scale_ + right.scale_};
}

std::strong_ordering operator<=>(Decimal left, Decimal right) {
  const int scale = std::max(left.scale_, right.scale_);
  const Int128 a = scaled_up(left.mantissa_, scale - left.scale_);
  const Int128 b = scaled_up(right.mantissa_, scale - right.scale_);
  if (a < b) return std::strong_ordering::less;
  return a == b ? std::strong_ordering::equal : std::strong_ordering::greater;
}

}  // namespace reference
