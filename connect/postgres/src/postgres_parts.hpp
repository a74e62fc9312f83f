// SPDX-License-Identifier: Apache-2.0
// What PostgresStore is made of: postgres_store.cpp connects, claims and prepares; postgres_batch.cpp writes batches.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/postgres.hpp>
#include <sluice/refused.hpp>

#include "postgres_connection.hpp"
#include "postgres_values.hpp"

namespace sluice {
namespace detail {

// The statements of every batch, prepared by these names.
inline constexpr const char* kPgBegin = "sluice_begin";
inline constexpr const char* kPgAdvance = "sluice_advance";
inline constexpr const char* kPgCommit = "sluice_commit";
inline constexpr const char* kPgSave = "sluice_save";
inline constexpr const char* kPgRelease = "sluice_release";
inline constexpr const char* kPgBeginText = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

// An event in a round of statements that has one sync: its first statement there and the one behind its last; its first effect in the
// batch and the one behind its last.
struct PgEvent {
  std::size_t statement;
  std::size_t after;
  std::size_t effect;
  std::size_t end;
};
// An effect that is known to be refused.
struct PgRefusal {
  std::size_t effect;  // In the batch.
  std::string why;
};
// What the search for the events that are refused knows.
struct PgSearch {
  std::size_t next;             // The effect with which the next round begins.
  std::size_t most;             // How many events it has.
  std::size_t opening;          // How many statements stand before them.
  std::vector<PgEvent> events;  // Of the round.
  std::vector<RefusedEvent> refused;
};

// A statement, and what the server says, in messages: on one line, cut where it is too long.
std::string shown_sql(std::string_view sql);
std::string shown_why(std::string_view text);
// As bigint has it, which has a sign.
std::string bigint_text(std::uint64_t value);

}  // namespace detail

struct PostgresStore::Parts {
  explicit Parts(PostgresOptions given);

  detail::PgDeadline deadline() const { return std::chrono::steady_clock::now() + options.call_limit; }
  // Throws Error before the claim.
  detail::PgConnection& session();
  // Throws what a failure is that no event is to blame for.
  void finish(detail::PgDeadline until, std::string_view tried,
              std::vector<detail::PgResult>* answers = nullptr);
  [[noreturn]] void fail(const detail::PgFailure& failure, std::string_view tried,
                         const std::string& sql = {}) const;

  void set_up(detail::PgDeadline until);
  std::string own_remedy(const detail::ServerError& error) const;
  void check_parameters(const detail::PgStatement& statement);
  std::vector<detail::PgKind> kinds_of(const PGresult* description);
  void make_tables(detail::PgDeadline until, bool schema_is_there);
  void prepare_own(detail::PgDeadline until);

  void commit_at_once(const SinkBatch<SqlEffect>& batch);
  void commit_event_by_event(const SinkBatch<SqlEffect>& batch,
                             const std::optional<detail::PgRefusal>& known);
  void queue_what_was_fine(const SinkBatch<SqlEffect>& batch, const detail::PgRefusal& known,
                           detail::PgSearch& search);
  void queue_round(const SinkBatch<SqlEffect>& batch, detail::PgSearch& search);
  bool all_fit(const SinkBatch<SqlEffect>& batch) const;
  void queue_begin(const SinkBatch<SqlEffect>& batch);
  void queue_effect(const SqlEffect& effect);
  const detail::PgStatement& statement_of(const SqlEffect& effect) const;

  PostgresOptions options;
  detail::PgTarget target;
  std::string schema;  // In quotes.
  std::optional<detail::PgConnection> connection;
  std::vector<detail::PgStatement> statements;
  detail::PgParameters parameters;
};

}  // namespace sluice
