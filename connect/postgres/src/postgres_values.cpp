// SPDX-License-Identifier: Apache-2.0
#include "postgres_values.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <endian.h>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

constexpr int kText = 0;
constexpr int kBinary = 1;
// The server takes no message larger than a gigabyte, and ends the session of whoever sends one; libpq counts in int. With
// room for the lengths and numbers of 65,535 parameters.
constexpr std::size_t kMostBytes = (std::size_t{1} << 30U) - (std::size_t{4} << 20U);

template <class Unsigned>
Unsigned to_network(Unsigned value) {
  if constexpr (sizeof(Unsigned) == 8) {
    return htobe64(value);
  } else if constexpr (sizeof(Unsigned) == 4) {
    return htobe32(value);
  } else {
    return htobe16(value);
  }
}

std::size_t size_of(const SqlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->size();
  if (const auto* bytes = std::get_if<SqlBytes>(&value)) return bytes->size();
  return 0;
}

std::optional<std::string> unfit(PgKind kind, const SqlValue& value) {
  const bool number = std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value);
  if (kind == PgKind::bytea && number) return "a number is no value of the type bytea";
  if (kind == PgKind::raw || kind == PgKind::bytea) return {};
  if (std::holds_alternative<SqlBytes>(value)) return "bytes are a value of the types bytea and text alone";
  const auto* text = std::get_if<std::string>(&value);
  if (text != nullptr && text->find('\0') != std::string::npos) return "the text has a zero byte in it";
  return {};
}

}  // namespace

PgKind kind_of(Oid type) {
  switch (type) {
    case 17:
      return PgKind::bytea;
    case 20:
      return PgKind::int8;
    case 21:
      return PgKind::int2;
    case 23:
      return PgKind::int4;
    case 701:
      return PgKind::float8;
    case 25:    // text
    case 114:   // json
    case 1042:  // bpchar
    case 1043:  // varchar
      return PgKind::raw;
    default:
      return PgKind::other;
  }
}

std::optional<std::string> unfit(const PgStatement& statement, const std::vector<SqlValue>& values) {
  constexpr std::size_t kMostText = 120;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    bytes += size_of(values[i]);
    if (const auto why = unfit(statement.kinds[i], values[i]))
      return fmt::format("${} of \"{}\": {}", i + 1, cut_text(statement.sql, kMostText), *why);
  }
  if (bytes <= kMostBytes) return {};
  return fmt::format("the values of \"{}\" have {} bytes, and may have {} together",
                     cut_text(statement.sql, kMostText), bytes, kMostBytes);
}

void PgParameters::assign(const PgStatement& statement, const std::vector<SqlValue>& values) {
  pointers_.assign(values.size(), nullptr);
  lengths_.assign(values.size(), 0);
  formats_.assign(values.size(), kText);
  if (numbers_.size() < values.size()) numbers_.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    put(i, statement.kinds[i], values[i]);
}

void PgParameters::put(std::size_t index, PgKind kind, const SqlValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    put_number(index, kind, *integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    put_number(index, kind, *real);
  } else if (const auto* bytes = std::get_if<SqlBytes>(&value)) {
    put_binary(index, bytes->data(), bytes->size());
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    if (kind == PgKind::raw || kind == PgKind::bytea) {
      put_binary(index, text->data(), text->size());
    } else {
      put_text(index, text->c_str());
    }
  }
}

void PgParameters::put_text(std::size_t index, const char* text) noexcept {
  pointers_[index] = text;
}

void PgParameters::put_binary(std::size_t index, const void* bytes, std::size_t size) noexcept {
  // An empty vector has no address, and no address means NULL.
  pointers_[index] = size == 0 ? "" : static_cast<const char*>(bytes);
  lengths_[index] = static_cast<int>(size);
  formats_[index] = kBinary;
}

void PgParameters::put_number(std::size_t index, PgKind kind, std::int64_t value) {
  Number& number = numbers_[index];
  const auto binary = [&]<class Integer>(Integer) {
    if (!std::in_range<Integer>(value)) return false;
    const auto network = to_network(static_cast<std::make_unsigned_t<Integer>>(value));
    std::memcpy(number.data(), &network, sizeof(network));
    put_binary(index, number.data(), sizeof(network));
    return true;
  };
  if (kind == PgKind::int8 && binary(std::int64_t{})) return;
  if (kind == PgKind::int4 && binary(std::int32_t{})) return;
  if (kind == PgKind::int2 && binary(std::int16_t{})) return;
  // A number that is too large for its column the server refuses itself.
  *std::to_chars(number.data(), number.data() + number.size() - 1, value).ptr = '\0';
  put_text(index, number.data());
}

void PgParameters::put_number(std::size_t index, PgKind kind, double value) {
  Number& number = numbers_[index];
  if (kind == PgKind::float8) {
    const auto network = to_network(std::bit_cast<std::uint64_t>(value));
    std::memcpy(number.data(), &network, sizeof(network));
    put_binary(index, number.data(), sizeof(network));
    return;
  }
  // It may have a sign, which numeric does not read.
  if (std::isnan(value)) return put_text(index, "NaN");
  // The shortest digits that read as this number again: 24 characters at most.
  *std::to_chars(number.data(), number.data() + number.size() - 1, value).ptr = '\0';
  put_text(index, number.data());
}

}  // namespace sluice::detail
