// SPDX-License-Identifier: Apache-2.0
// How PostgresStore begins: it connects, finds or makes its tables, claims its owner's row and prepares statements.
#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include <sluice/connect/detail/time_limit.hpp>
#include <sluice/detail/counted.hpp>
#include <sluice/detail/plain_text.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

#include "postgres_parts.hpp"
#include "postgres_tables.hpp"
#include "sqlstate.hpp"

namespace sluice {
namespace detail {
namespace {

// Of all pipelines and schemas of a server: "sluice" in ASCII. Held while tables are made.
constexpr const char* kTablesLock = "SELECT pg_advisory_xact_lock(126929113998181)";

std::uint64_t number_in(const PGresult* result, int row, int column) {
  return static_cast<std::uint64_t>(std::stoll(PQgetvalue(result, row, column)));
}

// The first word of a statement, behind blanks, comments and parentheses, in capitals.
std::string first_word(std::string_view sql) {
  const auto skip_past = [&sql](std::string_view mark) {
    const std::size_t at = sql.find(mark);
    sql.remove_prefix(at == std::string_view::npos ? sql.size() : at + mark.size());
  };
  while (!sql.empty()) {
    if (sql.starts_with("--")) {
      skip_past("\n");
    } else if (sql.starts_with("/*")) {
      skip_past("*/");
    } else if (sql.front() == '(' || is_blank(sql.front())) {
      sql.remove_prefix(1);
    } else {
      break;
    }
  }
  std::string word;
  for (const char c : sql) {
    if (!is_letter(c)) break;
    word.push_back(to_capital(c));
  }
  return word;
}

void check_kind(std::string_view sql) {
  constexpr std::array kFine{"INSERT", "UPDATE", "DELETE", "MERGE",    "WITH",
                             "SELECT", "VALUES", "CALL",   "TRUNCATE", "NOTIFY"};
  const std::string word = first_word(sql);
  if (std::find(kFine.begin(), kFine.end(), word) != kFine.end()) return;
  throw Error{
      {.tried = "prepare",
       .object = shown_sql(sql),
       .why = "it is not a statement that changes rows",
       .remedy =
           "transactions are the store's: give it INSERT, UPDATE, DELETE, MERGE, WITH, SELECT, VALUES, CALL, "
           "TRUNCATE or NOTIFY"}};
}

constexpr std::uint64_t kMostParameters = 65'535;  // The protocol counts them in 16 bits.

// Whether the text may name a parameter behind the last one; it may stand in a comment, say.
bool may_have_too_many(std::string_view sql) {
  for (std::size_t at = sql.find('$'); at != std::string_view::npos; at = sql.find('$', at + 1)) {
    std::uint64_t number = 0;
    for (std::size_t i = at + 1;
         i < sql.size() && sql[i] >= '0' && sql[i] <= '9' && number <= kMostParameters; ++i)
      number = 10 * number + static_cast<std::uint64_t>(sql[i] - '0');
    if (number > kMostParameters) return true;
  }
  return false;
}

}  // namespace

std::string shown_sql(std::string_view sql) {
  constexpr std::size_t kMost = 120;
  return fmt::format("\"{}\"", printable(cut_text(sql, kMost)));
}

std::string shown_why(std::string_view text) {
  constexpr std::size_t kMost = 1000;
  return printable(cut_text(text, kMost));
}

std::string bigint_text(std::uint64_t value) {
  return std::to_string(std::bit_cast<std::int64_t>(value));
}

}  // namespace detail

using namespace detail;

PostgresStore::Parts::Parts(PostgresOptions given)
    : options{std::move(given)}, target{target_of(options.url)}, schema{quoted_schema(options.schema)} {
  check_time_limit("PostgresOptions::connect_limit", options.connect_limit);
  check_time_limit("PostgresOptions::call_limit", options.call_limit);
}

PgConnection& PostgresStore::Parts::session() {
  if (connection) return *connection;
  throw Error{{.tried = "use",
               .object = target.text,
               .why = "the store has not claimed it yet",
               .remedy = "make the TransactionSink first"}};
}

void PostgresStore::Parts::fail(const PgFailure& failure, std::string_view tried,
                                const std::string& sql) const {
  const ServerError& error = failure.error;
  const std::string where = sql.empty() ? target.text : fmt::format("{}, {}", target.text, shown_sql(sql));
  const std::string why = shown_why(error.text);
  switch (judge(error)) {
    case Verdict::away:
      throw Unavailable{fmt::format("{}: {}", where, why)};
    case Verdict::taken_over:
      throw Error{{.tried = std::string{tried},
                   .object = target.text,
                   .why = why,
                   .remedy = "of two pipelines of one name and one database give one another "
                             "PostgresOptions::name; what was "
                             "stopped while another went on stays stopped"}};
    case Verdict::refused:
    case Verdict::mistake:
      break;
  }
  const std::string remedy = sql.empty() ? own_remedy(error) : std::string{};
  throw Error{{.tried = std::string{tried},
               .object = where,
               .why = why,
               .remedy = remedy.empty() ? std::string{remedy_for(error.state)} : remedy}};
}

// Where the store's own tables are not as they were made; empty for all else.
std::string PostgresStore::Parts::own_remedy(const ServerError& error) const {
  const bool is_gone = error.state.starts_with("42") || error.state.starts_with("3F");
  if (!is_gone || error.state == "42501") return {};
  return fmt::format(
      "put the tables of the schema {} back with what they held, which keeps events from taking effect "
      "twice; or "
      "begin anew: drop the schema, and start without the segment and the checkpoints of this pipeline",
      schema);
}

void PostgresStore::Parts::finish(PgDeadline until, std::string_view tried, std::vector<PgResult>* answers) {
  if (const auto failure = session().finish(until, answers)) fail(*failure, tried);
}

// What the session is to do about calls that take too long, and about a client that is gone; and whether the tables are there.
void PostgresStore::Parts::set_up(PgDeadline until) {
  PgConnection& to = session();
  const std::string limit = std::to_string(options.call_limit.count());
  to.queue(
      "SELECT set_config('statement_timeout', $1, false), "
      "set_config('idle_in_transaction_session_timeout', $1, false), "
      "set_config('synchronous_commit', CASE WHEN $2 <> '' THEN $2 "
      "WHEN current_setting('synchronous_commit') = 'off' THEN 'on' "
      "ELSE current_setting('synchronous_commit') END, false)",
      {limit, options.synchronous_commit});
  // From version 14 on; not on every system.
  to.queue(
      "SELECT set_config(name, CASE name WHEN 'idle_session_timeout' THEN '0' ELSE '1000' END, false) "
      "FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout' "
      "OR (name = 'client_connection_check_interval' AND version() LIKE '%linux%')");
  to.queue("SELECT to_regnamespace($1) IS NOT NULL, to_regprocedure($2) IS NOT NULL",
           {schema, claim_signature(schema)});
  std::vector<PgResult> answers;
  finish(until, "use", &answers);
  const auto is_true = [&answers](int column) {
    return std::string_view{PQgetvalue(answers.back().get(), 0, column)} == "t";
  };
  if (!is_true(1)) make_tables(until, is_true(0));
}

// Several workers may come to this at once: the lock lets one of them make the tables, and the others find them.
void PostgresStore::Parts::make_tables(PgDeadline until, bool schema_is_there) {
  PgConnection& to = session();
  to.queue(kPgBeginText);
  to.queue(kTablesLock);
  // Not even asked for where it is: a user who may use it need not be one who may make it.
  if (!schema_is_there) to.queue(schema_statement(schema));
  for (const std::string& statement : table_statements(schema))
    to.queue(statement);
  to.queue("COMMIT");
  finish(until, fmt::format("make the schema {} with the tables of the watermarks in", schema));
}

void PostgresStore::Parts::prepare_own(PgDeadline until) {
  PgConnection& to = session();
  to.queue_prepare(kPgBegin, kPgBeginText);
  to.queue_prepare(kPgAdvance, advance_statement(schema));
  to.queue_prepare(kPgCommit, "COMMIT");
  to.queue_prepare(kPgSave, "SAVEPOINT sluice_event");
  to.queue_prepare(kPgRelease, "RELEASE SAVEPOINT sluice_event");
  finish(until, "use");
}

// The server takes a statement with more parameters than it can describe, and its description ends the session.
void PostgresStore::Parts::check_parameters(const PgStatement& statement) {
  session().queue(
      "SELECT cardinality(parameter_types) FROM pg_catalog.pg_prepared_statements WHERE name = $1",
      {statement.name});
  std::vector<PgResult> answers;
  finish(deadline(), "look at the statements in", &answers);
  const std::uint64_t parameters = number_in(answers.front().get(), 0, 0);
  if (parameters <= kMostParameters) return;
  throw Error{{.tried = "prepare",
               .object = shown_sql(statement.sql),
               .why = fmt::format("it has {} parameters, and a statement has {} at most", parameters,
                                  kMostParameters),
               .remedy = "give it fewer, or an array: unnest($1::bigint[])"}};
}

// How the parameters of a described statement travel. A domain is sent as the type beneath it.
std::vector<PgKind> PostgresStore::Parts::kinds_of(const PGresult* description) {
  std::vector<PgKind> kinds;
  std::string types = "{";
  for (int i = 0; i < PQnparams(description); ++i) {
    const Oid type = PQparamtype(description, i);
    kinds.push_back(kind_of(type));
    if (is_made_by_users(type)) types.append(types.size() > 1 ? "," : "").append(std::to_string(type));
  }
  if (types.size() == 1) return kinds;
  session().queue(
      "WITH RECURSIVE beneath (type, base, next) AS ("
      "SELECT oid, oid, typbasetype FROM pg_catalog.pg_type WHERE oid = ANY ($1::oid[]) "
      "UNION ALL SELECT b.type, t.oid, t.typbasetype FROM beneath b JOIN pg_catalog.pg_type t ON t.oid = "
      "b.next) "
      "SELECT type, base FROM beneath WHERE next = 0",
      {types + "}"});
  std::vector<PgResult> answers;
  finish(deadline(), "look at the types in", &answers);
  const PGresult* found = answers.front().get();
  for (int row = 0; row < PQntuples(found); ++row) {
    for (int i = 0; i < PQnparams(description); ++i) {
      if (PQparamtype(description, i) == number_in(found, row, 0))
        kinds[static_cast<std::size_t>(i)] = kind_of(static_cast<Oid>(number_in(found, row, 1)));
    }
  }
  return kinds;
}

PostgresStore::PostgresStore(PostgresOptions options) : parts_{std::make_unique<Parts>(std::move(options))} {}
PostgresStore::~PostgresStore() = default;

Statement PostgresStore::prepare(std::string_view sql, std::optional<std::size_t> values) {
  check_kind(sql);
  PgConnection& to = parts_->session();
  const auto number = static_cast<std::uint32_t>(parts_->statements.size());
  PgStatement statement{.name = fmt::format("sluice_{}", number), .sql = std::string{sql}, .kinds = {}};
  const auto finish = [&](std::vector<PgResult>* answers) {
    if (const auto failure = to.finish(parts_->deadline(), answers))
      parts_->fail(*failure, "prepare a statement for", statement.sql);
  };
  to.queue_prepare(statement.name, statement.sql);
  if (may_have_too_many(sql)) {
    finish(nullptr);
    parts_->check_parameters(statement);
  }
  to.queue_describe(statement.name);
  std::vector<PgResult> answers;
  finish(&answers);
  statement.kinds = parts_->kinds_of(answers.back().get());
  if (values && *values != statement.kinds.size()) {
    throw Error{{.tried = "prepare",
                 .object = shown_sql(sql),
                 .why = fmt::format("it has {} and will be given {}",
                                    detail::counted(statement.kinds.size(), "parameter"),
                                    detail::counted(*values, "value")),
                 .remedy = "give it a value for each"}};
  }
  parts_->statements.push_back(std::move(statement));
  return {number};
}

std::string PostgresStore::tables(std::string_view schema) {
  const std::string quoted = quoted_schema(schema);
  std::string text = schema_statement(quoted) + ";\n";
  for (const std::string& statement : table_statements(quoted))
    text.append(statement).append(";\n");
  return text;
}

std::string PostgresStore::name_or(const std::string& pipeline) const {
  return parts_->options.name.empty() ? pipeline : parts_->options.name;
}

std::chrono::nanoseconds PostgresStore::call_limit() const noexcept {
  // A claim connects first, and a batch with events that are refused takes up to three calls (postgres_batch.cpp). A second
  // more, so that the store says itself what took so long.
  const PostgresOptions& options = parts_->options;
  return options.connect_limit * parts_->target.hosts + 3 * options.call_limit + std::chrono::seconds{1};
}

SinkClaim PostgresStore::claim(const SinkOwner& owner) {
  Parts& parts = *parts_;
  parts.statements.clear();
  const std::string application = fmt::format("{}/{} of {}", owner.stage, owner.replica, owner.name);
  parts.connection.emplace(parts.options, parts.target, application);
  const PgDeadline until = parts.deadline();
  parts.set_up(until);
  parts.prepare_own(until);
  PgConnection& to = *parts.connection;
  const std::string replica = std::to_string(owner.replica);
  constexpr std::uint64_t kLanes = (std::uint64_t{1} << EventId::kLaneBits) - 1;
  const std::string first = bigint_text(owner.origin);
  const std::string last = bigint_text(owner.origin | kLanes);
  std::vector<PgResult> answers;
  do {
    // What a predecessor sent before it died may arrive at any time: it has seen an earlier epoch, and changes nothing.
    answers.clear();
    to.queue(epoch_statement(parts.schema), {owner.name, owner.stage, replica});
    parts.finish(until, "claim", &answers);
    const std::string seen = bigint_text(number_in(answers[0].get(), 0, 0));
    answers.clear();
    to.queue(kPgBeginText);
    to.queue(claim_statement(parts.schema),
             {owner.name, owner.stage, replica, std::to_string(owner.replicas),
              std::to_string(EventId{owner.origin, 0}.run()), bigint_text(owner.life), first, last, seen});
    to.queue(watermarks_statement(parts.schema), {owner.name, owner.stage, replica, first, last});
    to.queue("COMMIT");
    parts.finish(until, "claim", &answers);
  } while (PQgetisnull(answers[1].get(), 0, 0) == 1);
  SinkClaim claim{.epoch = number_in(answers[1].get(), 0, 0), .watermarks = {}};
  const PGresult* marks = answers[2].get();
  for (int row = 0; row < PQntuples(marks); ++row)
    claim.watermarks.push_back({number_in(marks, row, 0), number_in(marks, row, 1)});
  return claim;
}

}  // namespace sluice
