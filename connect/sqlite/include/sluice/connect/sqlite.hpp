// SPDX-License-Identifier: Apache-2.0
// SqliteStore: effects in an SQLite database, each exactly once. The store of a TransactionSink, or of an
// SqlSink.
//
//     payments.by(&Payment::account).to<sluice::SqlSink<sluice::SqliteStore, Payment>>(
//         "book", {.workers = 2}, sluice::SqliteOptions{.path = "/var/lib/bank/book.db"},
//         sluice::Sql<Payment>{"INSERT INTO payment VALUES (?1, ?2)", &Payment::number, &Payment::cents});
//
// The database is in WAL mode: others may read it meanwhile, and one connection writes at a time. The workers
// of a stage take turns, a transaction a batch. Two tables of it are the store's own, made at the first
// start: sluice_owner (name, stage, replica, epoch, run) and sluice_watermark (name, origin, position). Who
// else writes the database leaves them alone; with them in the same file, a copy or a backup of it is
// consistent with itself.
//
// A host that has connections of its own opens them after the pipeline was started: SQLite's memory of its
// locks must not be carried over a fork. A worker that finds it so is an Error.
//
// What becomes of trouble:
//   Unavailable   another has the lock for longer than `busy`, the disk is full, an I/O error: the stage waits
//                 outside, and goes on.
//   Refused       a constraint, a value that the statement cannot take, a NaN, of which SQLite would make NULL: that event
//                 is a dead letter, with SQLite's text; the rest of the batch takes effect.
//   Error         a missing table or directory, no database, a file that can only be read, a schema that
//                 changed, another file under the name, another process that has taken over: says what to do.
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

namespace detail {

class SqliteDatabase;
struct SqliteStatements;

}  // namespace detail

// What has happened when a COMMIT is over. The death of any process, of all of them at once too, costs
// nothing in either way.
enum class SqliteSynchronous {
  full,  // It is on the disk: a power loss costs no transaction. One fsync a batch.
  normal,  // A power loss may cost the last transactions; what is left is consistent. No fsync but at checkpoints.
};

struct SqliteOptions {
  // The database. Its last part must not be a symbolic link. It must be there, unless `schema` says how to
  // make it.
  std::string path{};
  // SQL that is run, in a transaction of the store's, whenever a worker begins, also in the place of one that died: CREATE
  // TABLE IF NOT EXISTS and the like, without BEGIN and COMMIT. One that can be run only once is an Error of the first
  // start. With it a database that is missing is made.
  std::string schema{};
  // The owner in sluice_owner and sluice_watermark; the pipeline's name if nothing is said.
  std::string name{};
  SqliteSynchronous synchronous = SqliteSynchronous::full;
  // Whether foreign keys of the schema are checked.
  bool foreign_keys = true;
  // How long a transaction waits for one of another connection before the store is Unavailable; at most an
  // hour.
  std::chrono::milliseconds busy{5'000};
  // How long a transaction may take, the wait and the fsync counted in, before the watchdog ends the worker.
  std::chrono::milliseconds call_limit{60'000};
};

// Made in the worker, after its fork; used by its one thread. Meets TransactionStore.
class SqliteStore {
 public:
  using Effect = SqlEffect;

  // Does not touch the database yet. Throws Error for options that can never do.
  explicit SqliteStore(const SqliteOptions& options);
  ~SqliteStore();
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  // Of TransactionStore. claim() opens the database.
  std::string name_or(const std::string& pipeline) const;
  std::chrono::nanoseconds call_limit() const noexcept { return options_.call_limit; }
  SinkClaim claim(const SinkOwner& owner);
  void apply(const SinkBatch<SqlEffect>& batch);

  // After claim(): in the constructor of a handler that has a TransactionSink. One statement that changes
  // rows; its parameters are ?, ?1, :name or, as PostgreSQL writes them, $1. With `values`, how many values
  // it will be given, a text with another number of parameters is an Error at once. Throws Error that quotes
  // SQLite for what is no such statement.
  Statement prepare(std::string_view sql, std::optional<std::size_t> values = {});

 private:
  SqliteOptions options_;
  std::unique_ptr<detail::SqliteDatabase> database_;
  std::unique_ptr<detail::SqliteStatements> statements_;
};
static_assert(TransactionStore<SqliteStore>);

}  // namespace sluice
