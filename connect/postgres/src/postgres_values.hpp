// SPDX-License-Identifier: Apache-2.0
// A statement's parameters as the server wants them: what can be sent in the type's own binary form is, the rest as text that the
// server reads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sluice/connect/sql.hpp>

namespace sluice::detail {

using Oid = unsigned int;

// How the values of a type travel. Source of the numbers: pg_type.dat of PostgreSQL.
enum class PgKind : std::uint8_t {
  int2,
  int4,
  int8,
  float8,
  raw,    // text and its like, json: the bytes themselves, which the server checks.
  bytea,  // The bytes themselves.
  other,  // As text.
};
PgKind kind_of(Oid type);
// FirstNormalObjectId of PostgreSQL.
constexpr bool is_made_by_users(Oid type) {
  return type >= 16384;
}

// What the server has said about a prepared statement.
struct PgStatement {
  std::string name;  // Of the prepared statement.
  std::string sql;   // For messages.
  std::vector<PgKind> kinds;
};

// Why these values can never be sent as parameters of `statement`, of which there are as many; nothing for all others, which
// the server judges.
std::optional<std::string> unfit(const PgStatement& statement, const std::vector<SqlValue>& values);

// The arrays that libpq takes. Refers to the values, which must outlive it; used again for the next statement.
class PgParameters {
 public:
  // `values` are as many as the statement's parameters, and not unfit.
  void assign(const PgStatement& statement, const std::vector<SqlValue>& values);

  int count() const noexcept { return static_cast<int>(pointers_.size()); }
  const char* const* values() const noexcept { return pointers_.data(); }
  const int* lengths() const noexcept { return lengths_.data(); }
  const int* formats() const noexcept { return formats_.data(); }

 private:
  using Number = std::array<char, 32>;
  void put(std::size_t index, PgKind kind, const SqlValue& value);
  void put_text(std::size_t index, const char* text) noexcept;
  void put_binary(std::size_t index, const void* bytes, std::size_t size) noexcept;
  void put_number(std::size_t index, PgKind kind, std::int64_t value);
  void put_number(std::size_t index, PgKind kind, double value);

  std::vector<const char*> pointers_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<Number> numbers_;  // What the pointers of numbers point to.
};

}  // namespace sluice::detail
