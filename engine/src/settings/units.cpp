// SPDX-License-Identifier: Apache-2.0
// Numbers with units: one reader of decimal numbers, and a table of units for each kind of quantity.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include <fmt/format.h>

#include <sluice/units.hpp>

namespace sluice {

namespace {

struct Unit {
  std::string_view name;  // In lower case.
  std::uint64_t factor;
};

constexpr std::uint64_t kKi = 1024;
constexpr std::uint64_t kMi = 1024 * kKi;
constexpr std::uint64_t kGi = 1024 * kMi;
constexpr std::uint64_t kTi = 1024 * kGi;

constexpr std::array kCountUnits = {Unit{"", 1}, Unit{"k", kKi}, Unit{"m", kMi}, Unit{"g", kGi},
                                    Unit{"t", kTi}};

constexpr std::array kByteUnits = {Unit{"", 1},
                                   Unit{"b", 1},
                                   Unit{"k", kKi},
                                   Unit{"m", kMi},
                                   Unit{"g", kGi},
                                   Unit{"t", kTi},
                                   Unit{"kib", kKi},
                                   Unit{"mib", kMi},
                                   Unit{"gib", kGi},
                                   Unit{"tib", kTi},
                                   Unit{"kb", 1000},
                                   Unit{"mb", 1000'000},
                                   Unit{"gb", 1000'000'000},
                                   Unit{"tb", 1000'000'000'000}};

constexpr std::uint64_t kSecond = 1'000'000'000;

constexpr std::array kDurationUnits = {
    Unit{"ns", 1},      Unit{"us", 1000},          Unit{"\u00b5s", 1000},    Unit{"ms", 1000'000},
    Unit{"s", kSecond}, Unit{"min", 60 * kSecond}, Unit{"h", 3600 * kSecond}};

struct RateUnit {
  std::string_view name;
  double seconds;
};

constexpr std::array kRateUnits = {RateUnit{"/s", 1}, RateUnit{"/min", 60}, RateUnit{"/h", 3600}};

// What a kind of quantity is called in a fault, and the units it knows.
struct Kind {
  std::string_view whole;      // "whole number of bytes"
  std::string_view unit_list;  // "K, M, G, T"
  std::span<const Unit> units;
  std::uint64_t most;
};

constexpr Kind kCount = {"whole number", "K, M, G or T", kCountUnits,
                         std::numeric_limits<std::uint64_t>::max()};
constexpr Kind kBytes = {"whole number of bytes", "K, M, G, T, KiB to TiB or kB to TB", kByteUnits,
                         std::numeric_limits<std::uint64_t>::max()};
constexpr Kind kDuration = {"whole number of nanoseconds", "ns, us, ms, s, min or h", kDurationUnits,
                            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())};

constexpr bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

std::string lower(std::string_view text) {
  std::string result{text};
  std::ranges::transform(result, result.begin(), [](char character) {
    return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
  });
  return result;
}

std::string_view take_digits(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_digit);
  const auto length = static_cast<std::size_t>(end - text.begin());
  const std::string_view digits = text.substr(0, length);
  text.remove_prefix(length);
  return digits;
}

// The digits as a number; false if it does not fit.
bool to_number(std::string_view digits, std::uint64_t& number) {
  number = 0;
  for (const char digit : digits) {
    if (__builtin_mul_overflow(number, std::uint64_t{10}, &number)) return false;
    if (__builtin_add_overflow(number, static_cast<std::uint64_t>(digit - '0'), &number)) return false;
  }
  return true;
}

// A decimal number in front of its unit, split into its parts.
struct Decimal {
  std::string_view whole;
  std::string_view fraction;
  std::string_view unit;
};

// Six digits after the point keep fraction * factor below 2^64 for every unit of the tables.
constexpr std::size_t kMostFractionDigits = 6;

Parsed<Decimal> split(std::string_view text, const Kind& kind) {
  if (text.empty()) return {.fault = "it is empty"};
  if (text.front() == '-') return {.fault = fmt::format("it is negative, and a {} is wanted", kind.whole)};
  Decimal parts;
  std::string_view rest = text;
  parts.whole = take_digits(rest);
  if (parts.whole.empty()) return {.fault = fmt::format("it is no {}", kind.whole)};
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    parts.fraction = take_digits(rest);
    if (parts.fraction.empty()) return {.fault = "a digit is missing after the point"};
    if (parts.fraction.size() > kMostFractionDigits)
      return {.fault = "it has more than six digits after the point"};
  }
  if (rest.size() > 1 && rest.front() == ' ') rest.remove_prefix(1);
  parts.unit = rest;
  return {.value = parts};
}

const Unit* find_unit(std::string_view name, const Kind& kind) {
  const std::string wanted = lower(name);
  const auto found = std::ranges::find(kind.units, wanted, &Unit::name);
  return found == kind.units.end() ? nullptr : &*found;
}

// number = (whole + fraction / 10^digits) * factor; false if it does not fit. `exact` tells whether it is
// whole.
bool scale(const Decimal& parts, std::uint64_t factor, std::uint64_t& number, bool& exact) {
  std::uint64_t whole = 0;
  std::uint64_t fraction = 0;
  if (!to_number(parts.whole, whole) || !to_number(parts.fraction, fraction)) return false;
  if (__builtin_mul_overflow(whole, factor, &number)) return false;
  std::uint64_t divisor = 1;
  for (std::size_t digit = 0; digit < parts.fraction.size(); ++digit)
    divisor *= 10;
  exact = fraction * factor % divisor == 0;
  return !__builtin_add_overflow(number, fraction * factor / divisor, &number);
}

Parsed<std::uint64_t> parse(std::string_view text, const Kind& kind) {
  const Parsed<Decimal> parts = split(text, kind);
  if (!parts.ok()) return {.fault = parts.fault};
  const std::string_view unit_name = parts.value.unit;
  const Unit* unit = find_unit(unit_name, kind);
  std::uint64_t number = 0;
  bool exact = true;
  if (unit == nullptr) {
    // Zero is the same in every unit, so it needs none.
    if (unit_name.empty() && scale(parts.value, 1, number, exact) && number == 0 && exact) return {};
    if (unit_name.empty()) return {.fault = fmt::format("its unit is missing: {}", kind.unit_list)};
    return {.fault = fmt::format("'{}' is no unit here: {}", unit_name, kind.unit_list)};
  }
  if (!scale(parts.value, unit->factor, number, exact) || number > kind.most)
    return {.fault = "it is too large"};
  if (!exact) return {.fault = fmt::format("it is no {}", kind.whole)};
  return {.value = number};
}

// The number in the largest of `units` (ordered from the largest) that divides it.
std::string format(std::uint64_t number, std::span<const Unit> units, std::string_view smallest) {
  for (const Unit& unit : units) {
    if (number >= unit.factor && number % unit.factor == 0)
      return fmt::format("{}{}", number / unit.factor, unit.name);
  }
  return fmt::format("{}{}", number, smallest);
}

constexpr std::array kByteNames = {Unit{"TiB", kTi}, Unit{"GiB", kGi}, Unit{"MiB", kMi}, Unit{"KiB", kKi}};

constexpr std::array kDurationNames = {Unit{"h", 3600 * kSecond}, Unit{"min", 60 * kSecond},
                                       Unit{"s", kSecond}, Unit{"ms", 1000'000}, Unit{"us", 1000}};

}  // namespace

Parsed<std::uint64_t> parse_count(std::string_view text) {
  return parse(text, kCount);
}

Parsed<std::uint64_t> parse_bytes(std::string_view text) {
  return parse(text, kBytes);
}

Parsed<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const Parsed<std::uint64_t> parsed = parse(text, kDuration);
  return {.value = std::chrono::nanoseconds{static_cast<std::int64_t>(parsed.value)}, .fault = parsed.fault};
}

Parsed<double> parse_rate(std::string_view text) {
  if (text.empty()) return {.fault = "it is empty"};
  if (text.front() == '-') return {.fault = "it is negative"};
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(number)) return {.fault = "it does not begin with a number"};
  const std::string_view unit_name{end, static_cast<std::size_t>(text.data() + text.size() - end)};
  if (unit_name.empty() && number == 0) return {};
  if (unit_name.empty()) return {.fault = "its unit is missing: /s, /min or /h"};
  const auto unit = std::ranges::find(kRateUnits, lower(unit_name), &RateUnit::name);
  if (unit == kRateUnits.end())
    return {.fault = fmt::format("'{}' is no unit here: /s, /min or /h", unit_name)};
  return {.value = number / unit->seconds};
}

Parsed<bool> parse_flag(std::string_view text) {
  const std::string word = lower(text);
  for (const std::string_view yes : {"yes", "true", "on", "1"}) {
    if (word == yes) return {.value = true};
  }
  for (const std::string_view no : {"no", "false", "off", "0"}) {
    if (word == no) return {.value = false};
  }
  return {.fault = text.empty() ? "it is empty" : "it is neither yes nor no"};
}

std::string format_count(std::uint64_t count) {
  return fmt::format("{}", count);
}

std::string format_bytes(std::uint64_t bytes) {
  return format(bytes, kByteNames, "B");
}

std::string format_duration(std::chrono::nanoseconds duration) {
  if (duration.count() == 0) return "0s";
  if (duration.count() < 0) return fmt::format("{}ns", duration.count());
  return format(static_cast<std::uint64_t>(duration.count()), kDurationNames, "ns");
}

std::string format_rate(double per_second) {
  if (per_second == 0) return "0";
  for (const RateUnit& unit : kRateUnits) {
    std::string text = fmt::format("{:g}{}", per_second * unit.seconds, unit.name);
    const Parsed<double> back = parse_rate(text);
    if (back.ok() && back.value == per_second) return text;
  }
  return fmt::format("{:f}/s", per_second);
}

std::string format_flag(bool flag) {
  return flag ? "yes" : "no";
}

}  // namespace sluice
