// SPDX-License-Identifier: Apache-2.0
// PostgresStore: rows in a PostgreSQL database, each event's exactly once. The store of a
// TransactionSink, or of an SqlSink, by libpq in pipeline mode: a batch is one transaction and one round trip.
//
//     payments.by(&Payment::account).to<sluice::SqlSink<sluice::PostgresStore, Payment>>(
//         "book", {.workers = 2}, sluice::PostgresOptions{.url = "postgresql://book@db1/bank"},
//         sluice::Sql<Payment>{"INSERT INTO payment VALUES ($1, $2)", &Payment::number, &Payment::cents});
//
// The store keeps epochs and watermarks in two tables of a schema of its own, which it makes at its first start. Its
// transactions are READ COMMITTED and plain: nothing is ever prepared, and what a dead worker has left open the server
// ends after call_limit at the latest.
//
//   What the server says                                            what becomes of it
//   it is away, starts, stops, is full, has no connection left,     Unavailable: the worker waits outside and connects again
//   is a standby, does not answer in time; deadlock, time out
//   the rows violate a constraint or a policy, a value does not     Refused: the events that violate are dead letters with the
//   fit its column or its type, a trigger or a function raises      server's text, the others of the batch take effect
//   an error
//   wrong password or options, no such database, table or column,   Error: the pipeline ends and says what to do
//   a right is missing, a sequence is at its end, a view takes no
//   rows, another process has taken over
//
// The server may be of version 12 or later. Between it and us there may be no pooler that changes servers between
// transactions (PgBouncer in transaction mode): prepared statements belong to a session.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/connect/sql.hpp>
#include <sluice/connect/transaction_sink.hpp>

namespace sluice {

struct PostgresOptions {
  // A connection string or URL as libpq takes it: "host=db1 dbname=bank user=book", "postgresql://book@db1/bank". What it does
  // not say comes from the environment (PGHOST, ...) and ~/.pgpass, which is the place for a password. Never shown.
  std::string url = {};
  // Whom the watermarks belong to; empty: the pipeline's name. Two pipelines of one name take over from each other.
  std::string name = {};
  // Where the tables of the watermarks are; made when it is missing. At most 63 bytes.
  std::string schema = "sluice";
  // How long a connection may take, for each host of the URL. Looking up a host's name is libc's, with its own limits.
  std::chrono::milliseconds connect_limit{5'000};
  // How long each call may take: a transaction, its search for what is refused, the claim of a start. A server that takes longer is
  // taken for away.
  std::chrono::milliseconds call_limit{10'000};
  // PostgreSQL's setting of that name: what a COMMIT that was answered has survived. Empty: as the server has it, but `on`
  // where it has `off`, with which a crash of the server loses events that are committed here.
  std::string synchronous_commit = {};
};

// Used by the worker's one thread; connects in claim(), not before. After it has thrown anything but an Error of prepare()
// it is of no further use: the engine makes the handler anew, and the new store finds out what was committed.
class PostgresStore {
 public:
  using Effect = SqlEffect;

  // Throws Error for a URL that is none, a schema that can be none, and a limit of less than a millisecond or more than a day. Does not connect.
  explicit PostgresStore(PostgresOptions options);
  ~PostgresStore();
  PostgresStore(const PostgresStore&) = delete;
  PostgresStore& operator=(const PostgresStore&) = delete;

  // One statement that changes rows (INSERT, UPDATE, DELETE, MERGE, WITH, SELECT or VALUES, CALL, TRUNCATE, NOTIFY) with the
  // parameters $1, $2, ... The server says of which type each is, and a value is sent as that type: integers and floating
  // point by value, text and bytes as they are, the rest as text that the server reads (numeric, timestamptz, jsonb, uuid,
  // ...); a domain is sent as the type beneath it. What it returns is received, and dropped. After claim(): in the handler's constructor, best by TransactionSink::prepare(). One round
  // trip. With `values`, how many values it will be given, another number of parameters is an Error at once. Throws Error for a
  // statement that the server does not take, with its text; Unavailable.
  Statement prepare(std::string_view sql, std::optional<std::size_t> values = {});

  // The statements that make the store's tables, for an administrator who does not let the pipeline's user make them:
  // that user then needs USAGE of the schema, and SELECT, INSERT and UPDATE on its tables.
  static std::string tables(std::string_view schema = "sluice");

  // What TransactionSink calls.
  std::string name_or(const std::string& pipeline) const;
  std::chrono::nanoseconds call_limit() const noexcept;
  SinkClaim claim(const SinkOwner& owner);
  void apply(const SinkBatch<SqlEffect>& batch);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};
static_assert(TransactionStore<PostgresStore>);

}  // namespace sluice
