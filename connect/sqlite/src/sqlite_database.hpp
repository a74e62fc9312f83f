// SPDX-License-Identifier: Apache-2.0
// A connection to an SQLite database, its statements and its transactions; and what its result codes become:
// Unavailable, Error, or a code that the caller understands.
//
// Used by one thread, in one process: a connection must not be carried over a fork.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sqlite3.h>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/sqlite.hpp>

#include "sqlite_file.hpp"

namespace sluice::detail {

struct FinalizeSqlite {
  void operator()(sqlite3_stmt* statement) const noexcept { ::sqlite3_finalize(statement); }
};
using SqlitePrepared = std::unique_ptr<sqlite3_stmt, FinalizeSqlite>;

class SqliteDatabase {
 public:
  // Opens it and brings it into WAL mode. Throws Unavailable and Error.
  explicit SqliteDatabase(const SqliteOptions& options);
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  // The one statement of `sql`, or nullptr: then problem() is why.
  SqlitePrepared try_prepare(std::string_view sql);
  // Throws.
  SqlitePrepared prepare(std::string_view sql);
  // One that changes rows of the database, and nothing else: the effect of an event. Throws.
  SqlitePrepared prepare_effect(std::string_view sql);
  // SqliteOptions::schema, within a transaction. Throws.
  void run_schema(const std::string& schema);
  // Statements without results. Throws.
  void run(const std::string& sql);
  // By the last statement that was run.
  bool changed_one_row() const noexcept { return ::sqlite3_changes(handle_.get()) == 1; }
  // Whether a transaction is under way.
  bool in_transaction() const noexcept { return ::sqlite3_get_autocommit(handle_.get()) == 0; }
  // What the last call that failed said: "UNIQUE constraint failed: payment.number".
  std::string problem() const;
  // Throws Unavailable or Error for the last call, which gave `code`.
  [[noreturn]] void fail(const std::string& tried, int code) const;
  // Throws Error when another file has the database's name by now, or none.
  void check_identity() const;

  const std::string& path() const noexcept { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept { ::sqlite3_close_v2(handle); }
  };

  static int wait_for_lock(void* database, int times);
  void open(bool make);
  void set_up(const SqliteOptions& options);
  std::string text_of(const std::string& pragma, int& code);

  std::string path_;  // Real: no link in it.
  std::chrono::milliseconds busy_;
  std::chrono::steady_clock::time_point give_up_{};  // Of the wait for a lock that is under way.
  std::unique_ptr<sqlite3, Close> handle_;
  FileIdentity identity_;
};

// Rolled back with its object, unless it was committed.
class SqliteTransaction {
 public:
  // The lock to write is had at once or, by Unavailable, not at all: a transaction never finds out in its
  // midst.
  explicit SqliteTransaction(SqliteDatabase& database);
  ~SqliteTransaction();
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;

  // False when a constraint that is checked only now is violated. Throws.
  bool commit();

 private:
  SqliteDatabase& database_;
  SqlitePrepared commit_;
};

// Runs a statement that is bound, and makes it ready for the next values; the result code, SQLITE_DONE if all
// is well.
int run_sqlite(sqlite3_stmt* statement) noexcept;

// Binds a value to a parameter, from 1; the value must outlive the run. The result code.
int bind_sqlite(sqlite3_stmt* statement, int parameter, const SqlValue& value) noexcept;

// Numbers of 64 bits without a sign, in SQL's, which have one.
std::int64_t to_sqlite(std::uint64_t number) noexcept;
std::uint64_t from_sqlite(std::int64_t number) noexcept;

}  // namespace sluice::detail
