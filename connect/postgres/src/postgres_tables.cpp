// SPDX-License-Identifier: Apache-2.0
#include "postgres_tables.hpp"

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "sqlstate.hpp"

namespace sluice::detail {
namespace {

// Half-empty pages: a row that changes with every batch finds room for its next version on its own page.
constexpr const char* kOwner = R"(CREATE TABLE IF NOT EXISTS {}.owner (
  name text, stage text, replica integer, epoch bigint NOT NULL, run bigint NOT NULL, life bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (name, stage, replica)) WITH (fillfactor = 50))";
// Tables of earlier versions have none.
constexpr const char* kLife = "ALTER TABLE {}.owner ADD COLUMN IF NOT EXISTS life bigint NOT NULL DEFAULT 0";
constexpr const char* kWatermark = R"(CREATE TABLE IF NOT EXISTS {}.watermark (
  name text, stage text, replica integer, origin bigint, upto bigint NOT NULL,
  PRIMARY KEY (name, stage, replica, origin)) WITH (fillfactor = 50))";
constexpr const char* kAdvance = R"(CREATE OR REPLACE FUNCTION {0}.advance(
  of_name text, of_stage text, of_replica integer, of_epoch bigint, of_origins bigint[],
  from_ends bigint[], to_ends bigint[])
RETURNS void LANGUAGE plpgsql AS $advance$
DECLARE
  epoch_now bigint;
  moved bigint := 0;
  begun bigint := 0;
BEGIN
  SELECT o.epoch INTO epoch_now FROM {0}.owner o
    WHERE o.name = of_name AND o.stage = of_stage AND o.replica = of_replica FOR UPDATE;
  IF epoch_now IS DISTINCT FROM of_epoch THEN
    RAISE EXCEPTION USING ERRCODE = '{1}', MESSAGE = format(
      'another process took over from %s/%s of %s: its epoch is %s, not %s',
      of_stage, of_replica, of_name, coalesce(epoch_now::text, 'gone'), of_epoch);
  END IF;
  UPDATE {0}.watermark w SET upto = lane.upto
    FROM unnest(of_origins, from_ends, to_ends) AS lane (origin, was, upto)
    WHERE w.name = of_name AND w.stage = of_stage AND w.replica = of_replica AND w.origin = lane.origin
      AND lane.was <> 0 AND w.upto = lane.was;
  GET DIAGNOSTICS moved = ROW_COUNT;
  IF 0 = ANY (from_ends) THEN
    INSERT INTO {0}.watermark (name, stage, replica, origin, upto)
      SELECT of_name, of_stage, of_replica, lane.origin, lane.upto
        FROM unnest(of_origins, from_ends, to_ends) AS lane (origin, was, upto) WHERE lane.was = 0
      ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS begun = ROW_COUNT;
  END IF;
  IF moved + begun <> cardinality(of_origins) THEN
    RAISE EXCEPTION USING ERRCODE = '{2}', MESSAGE = format(
      'it knows less of %s/%s of %s than this pipeline has committed: it was put back to an earlier state, or a '
      'standby that had not everything has taken over', of_stage, of_replica, of_name);
  END IF;
END
$advance$)";
constexpr const char* kClaim = R"(CREATE OR REPLACE FUNCTION {0}.claim(
  of_name text, of_stage text, of_replica integer, of_replicas integer, of_run bigint, of_life bigint, first bigint,
  last bigint, seen bigint)
RETURNS bigint LANGUAGE plpgsql AS $claim$
DECLARE
  epoch_now bigint; run_now bigint; life_now bigint;
  new_epoch bigint;
BEGIN
  INSERT INTO {0}.owner (name, stage, replica, epoch, run) VALUES (of_name, of_stage, of_replica, 0, of_run)
    ON CONFLICT (name, stage, replica) DO NOTHING;
  SELECT o.epoch, o.run, o.life INTO epoch_now, run_now, life_now FROM {0}.owner o
    WHERE o.name = of_name AND o.stage = of_stage AND o.replica = of_replica FOR UPDATE;
  IF epoch_now <> seen THEN
    RETURN NULL;
  END IF;
  IF run_now <> of_run AND EXISTS (SELECT FROM {0}.watermark w WHERE w.name = of_name AND w.stage = of_stage
      AND w.replica = of_replica AND w.origin BETWEEN first AND last) THEN
    RAISE EXCEPTION USING ERRCODE = '{1}', MESSAGE = format(
      'another process took over from %s/%s of %s: the run %s, after this one, %s',
      of_stage, of_replica, of_name, to_hex(run_now), to_hex(of_run));
  END IF;
  IF run_now = of_run AND life_now > of_life THEN
    RAISE EXCEPTION USING ERRCODE = '{1}', MESSAGE = format(
      'another process took over from %s/%s of %s: a later start of the same run, from a checkpoint, say',
      of_stage, of_replica, of_name);
  END IF;
  UPDATE {0}.owner o SET epoch = o.epoch + 1, run = of_run, life = of_life
    WHERE o.name = of_name AND o.stage = of_stage AND o.replica = of_replica RETURNING o.epoch INTO new_epoch;
  PERFORM FROM {0}.owner o
    WHERE o.name = of_name AND o.stage = of_stage AND o.replica >= of_replicas ORDER BY o.replica FOR UPDATE;
  UPDATE {0}.owner o SET epoch = o.epoch + 1, run = of_run, life = of_life
    WHERE o.name = of_name AND o.stage = of_stage AND o.replica >= of_replicas;
  RETURN new_epoch;
END
$claim$)";

}  // namespace

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
  return {fmt::format(kOwner, schema), fmt::format(kLife, schema), fmt::format(kWatermark, schema),
          fmt::format(kAdvance, schema, kTakenOver, kWentBack), fmt::format(kClaim, schema, kTakenOver)};
}

std::string claim_signature(const std::string& schema) {
  return fmt::format("{}.claim(text, text, integer, integer, bigint, bigint, bigint, bigint, bigint)",
                     schema);
}

std::string advance_statement(const std::string& schema) {
  return fmt::format("SELECT {}.advance($1, $2, $3, $4, $5, $6, $7)", schema);
}

std::string claim_statement(const std::string& schema) {
  return fmt::format("SELECT {}.claim($1, $2, $3, $4, $5, $6, $7, $8, $9)", schema);
}

std::string epoch_statement(const std::string& schema) {
  return fmt::format(
      "SELECT coalesce((SELECT epoch FROM {}.owner WHERE name = $1 AND stage = $2 AND replica = $3), 0)",
      schema);
}

std::string watermarks_statement(const std::string& schema) {
  return fmt::format(
      "SELECT origin, upto FROM {}.watermark "
      "WHERE name = $1 AND stage = $2 AND replica = $3 AND origin BETWEEN $4 AND $5",
      schema);
}

}  // namespace sluice::detail
