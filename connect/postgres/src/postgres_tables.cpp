// SPDX-License-Identifier: Apache-2.0
#include "postgres_tables.hpp"

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "sqlstate.hpp"

namespace sluice::detail {

std::string quoted_schema(std::string_view schema) {
  // PostgreSQL cuts longer names off, and keeps those with pg_ to itself.
  constexpr std::size_t kMost = 63;
  const bool fits = !schema.empty() && schema.size() <= kMost && !schema.starts_with("pg_") &&
                    schema.find('\0') == std::string_view::npos;
  if (!fits) {
    throw Error{{.tried = "use the schema",
                 .object = fmt::format("\"{}\" of PostgresOptions", schema),
                 .why = "it is empty, longer than 63 bytes, has a zero byte or begins with pg_",
                 .remedy = "name another one"}};
  }
  std::string quoted = "\"";
  for (const char c : schema) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

std::string schema_statement(const std::string& schema) {
  return fmt::format("CREATE SCHEMA IF NOT EXISTS {}", schema);
}

std::vector<std::string> table_statements(const std::string& schema) {
  // Half-empty pages: a row that changes with every batch finds room for its next version on its own page.
  return {
      fmt::format("CREATE TABLE IF NOT EXISTS {}.owner (name text, stage text, replica integer, epoch bigint "
                  "NOT NULL, "
                  "PRIMARY KEY (name, stage, replica)) WITH (fillfactor = 50)",
                  schema),
      fmt::format(
          "CREATE TABLE IF NOT EXISTS {}.watermark (name text, stage text, replica integer, origin bigint, "
          "upto bigint NOT NULL, PRIMARY KEY (name, stage, replica, origin)) WITH (fillfactor = 50)",
          schema),
      fmt::format(R"(CREATE OR REPLACE FUNCTION {0}.advance(
  of_name text, of_stage text, of_replica integer, of_epoch bigint, of_origins bigint[], to_ends bigint[])
RETURNS void LANGUAGE plpgsql AS $advance$
DECLARE
  epoch_now bigint;
BEGIN
  SELECT o.epoch INTO epoch_now FROM {0}.owner o
    WHERE o.name = of_name AND o.stage = of_stage AND o.replica = of_replica FOR UPDATE;
  IF epoch_now IS DISTINCT FROM of_epoch THEN
    RAISE EXCEPTION USING ERRCODE = '{1}', MESSAGE = format(
      'another process took over from %s/%s of %s: its epoch is %s, not %s',
      of_stage, of_replica, of_name, coalesce(epoch_now::text, 'gone'), of_epoch);
  END IF;
  INSERT INTO {0}.watermark AS w (name, stage, replica, origin, upto)
    SELECT of_name, of_stage, of_replica, lane.origin, lane.upto
      FROM unnest(of_origins, to_ends) AS lane (origin, upto)
    ON CONFLICT (name, stage, replica, origin) DO UPDATE SET upto = excluded.upto;
END
$advance$)",
                  schema, kTakenOver)};
}

std::string advance_signature(const std::string& schema) {
  return fmt::format("{}.advance(text, text, integer, bigint, bigint[], bigint[])", schema);
}

std::string advance_statement(const std::string& schema) {
  return fmt::format("SELECT {}.advance($1, $2, $3, $4, $5, $6)", schema);
}

std::string raise_epoch_statement(const std::string& schema) {
  return fmt::format(
      "INSERT INTO {}.owner AS o (name, stage, replica, epoch) VALUES ($1, $2, $3, 1) "
      "ON CONFLICT (name, stage, replica) DO UPDATE SET epoch = o.epoch + 1 RETURNING epoch",
      schema);
}

std::string raise_others_statement(const std::string& schema) {
  // In one order, so that two claims do not wait for each other.
  return fmt::format(
      "UPDATE {0}.owner SET epoch = epoch + 1 WHERE (name, stage, replica) IN (SELECT name, stage, replica "
      "FROM {0}.owner "
      "WHERE name = $1 AND stage = $2 AND replica >= $3 ORDER BY replica FOR UPDATE)",
      schema);
}

std::string watermarks_statement(const std::string& schema) {
  return fmt::format(
      "SELECT origin, upto FROM {}.watermark "
      "WHERE name = $1 AND stage = $2 AND replica = $3 AND origin BETWEEN $4 AND $5",
      schema);
}

}  // namespace sluice::detail
