// SPDX-License-Identifier: Apache-2.0
// What the stores that speak SQL have in common: values, and a statement with values as the effect of an event.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

struct SqlNull {  // The value NULL.
  friend bool operator==(SqlNull, SqlNull) = default;
};
using SqlBytes = std::vector<std::byte>;
using SqlValue = std::variant<SqlNull, std::int64_t, double, std::string, SqlBytes>;

namespace detail {

// Throws Refused: SQL has no such number. Without it: one that 64 bits do not hold.
[[noreturn]] void refuse_number(std::optional<std::uint64_t> value = {});

}  // namespace detail

// How C++ is said in SQL: integers, enumerations and bool as integers; text; bytes; an empty optional as NULL. Throws Refused
// for a number that signed 64 bits do not hold.
template <class T>
SqlValue sql_value(const T& value) {
  if constexpr (std::is_same_v<T, SqlValue>) {
    return value;
  } else if constexpr (std::is_enum_v<T>) {
    return sql_value(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::integral<T>) {
    // An integer of 128 bits is one where the compiler is told of its extensions.
    if constexpr (sizeof(T) > sizeof(std::int64_t)) {
      if (static_cast<T>(static_cast<std::int64_t>(value)) != value) detail::refuse_number();
    } else if constexpr (std::unsigned_integral<T> && sizeof(T) == sizeof(std::int64_t)) {
      if (value > INT64_MAX) detail::refuse_number(value);
    }
    return static_cast<std::int64_t>(value);
  } else if constexpr (std::floating_point<T>) {
    return static_cast<double>(value);
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    return std::string{std::string_view{value}};
  } else if constexpr (std::convertible_to<const T&, std::span<const std::byte>>) {
    const std::span<const std::byte> bytes{value};
    return SqlBytes{bytes.begin(), bytes.end()};
  } else {
    static_assert(std::is_same_v<T, SqlNull>,
                  "what a statement is given is a number, an enumeration, text, bytes, SqlNull or an "
                  "optional of one of these");
    return value;
  }
}
// An array of characters, as events hold short texts: up to its first zero, or all of it.
template <std::size_t N>
SqlValue sql_value(const char (&text)[N]) {
  const std::string_view all{text, N};
  return std::string{all.substr(0, all.find('\0'))};
}
template <class T>
SqlValue sql_value(const std::optional<T>& value) {
  return value ? sql_value(*value) : SqlValue{SqlNull{}};
}

// A statement that a store has prepared: Store::prepare(). Of that store alone.
struct Statement {
  std::uint32_t number = 0;
};

// The effect of an event: a statement with its values, in the order of its parameters.
struct SqlEffect {
  template <class... Values>
  explicit SqlEffect(Statement of, const Values&... with) : statement{of}, values{sql_value(with)...} {}
  SqlEffect(Statement of, std::vector<SqlValue> with) : statement{of}, values{std::move(with)} {}

  Statement statement;
  std::vector<SqlValue> values;
};

}  // namespace sluice
