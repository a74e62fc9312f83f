// SPDX-License-Identifier: Apache-2.0
// SQLite: the connector, and a plain program that does the same batches with the library, in the same mode.
#include <filesystem>
#include <memory>
#include <sqlite3.h>

#include <sluice/connect/sql_sink.hpp>
#include <sluice/connect/sqlite.hpp>
#include <sluice/error.hpp>

#include "guarded_directory.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS payment(number INTEGER, account INTEGER, cents INTEGER, purpose TEXT)";
constexpr const char* kInsert = "INSERT INTO payment VALUES (?, ?, ?, ?)";

// A connection that ends the run with SQLite's text where something fails.
class PlainSqlite {
 public:
  explicit PlainSqlite(const std::string& path) {
    sqlite3* handle = nullptr;
    const int code = ::sqlite3_open(path.c_str(), &handle);
    handle_.reset(handle);
    check(code);
  }
  void run(const char* sql) { check(::sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr)); }
  void check(int code) const {
    if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE)
      throw Error{{"write with", "SQLite", ::sqlite3_errmsg(handle_.get()), ""}};
  }

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { ::sqlite3_finalize(statement); }
  };
  using Prepared = std::unique_ptr<sqlite3_stmt, Finalize>;
  Prepared prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    check(::sqlite3_prepare_v3(handle_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
    return Prepared{statement};
  }

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept { ::sqlite3_close(handle); }
  };
  std::unique_ptr<sqlite3, Close> handle_;
};

class SqliteRun {
 public:
  explicit SqliteRun(SqliteSynchronous synchronous) : synchronous_{synchronous} {}

  void empty() const {
    for (const auto& entry : std::filesystem::directory_iterator{directory_.path()})
      std::filesystem::remove(entry);
    PlainSqlite database{path()};
    database.run("PRAGMA journal_mode=WAL");
    database.run(kTable);
  }

  void plain(std::uint64_t rows) const {
    PlainSqlite database{path()};
    database.run(synchronous_ == SqliteSynchronous::full ? "PRAGMA synchronous=FULL"
                                                         : "PRAGMA synchronous=NORMAL");
    const PlainSqlite::Prepared insert = database.prepare(kInsert);
    for (std::uint64_t number = 0; number < rows;) {
      database.run("BEGIN IMMEDIATE");
      for (std::uint64_t i = 0; i < kRowsABatch && number < rows; ++i) {
        const StoredRow row = stored_row(number++);
        ::sqlite3_bind_int64(insert.get(), 1, static_cast<std::int64_t>(row.number));
        ::sqlite3_bind_int64(insert.get(), 2, row.account);
        ::sqlite3_bind_int64(insert.get(), 3, row.cents);
        ::sqlite3_bind_text(insert.get(), 4, row.purpose, -1, SQLITE_STATIC);
        database.check(::sqlite3_step(insert.get()));
        ::sqlite3_reset(insert.get());
      }
      database.run("COMMIT");
    }
  }

  void sink(const Stream<StoredRow>& rows) const {
    SqliteOptions options;
    options.path = path();
    options.synchronous = synchronous_;
    rows.to<SqlSink<SqliteStore, StoredRow>>("store", options,
                                             Sql<StoredRow>{kInsert, &StoredRow::number, &StoredRow::account,
                                                            &StoredRow::cents, &StoredRow::purpose});
  }

  StoredSum sum() const {
    PlainSqlite database{path()};
    const PlainSqlite::Prepared sum = database.prepare("SELECT count(*), total(number) FROM payment");
    database.check(::sqlite3_step(sum.get()));
    return {static_cast<std::uint64_t>(::sqlite3_column_int64(sum.get(), 0)),
            static_cast<std::uint64_t>(::sqlite3_column_double(sum.get(), 1))};
  }

 private:
  std::string path() const { return (directory_.path() / "bench.db").string(); }

  SqliteSynchronous synchronous_;
  GuardedDirectory directory_{"sqlite"};
};

StoreRuns runs_of(SqliteSynchronous synchronous, const std::string& parameters, std::uint64_t rows) {
  const auto run = std::make_shared<SqliteRun>(synchronous);
  return {"sqlite",
          parameters,
          rows,
          [run] { run->empty(); },
          [run](const Stream<StoredRow>& stream) { run->sink(stream); },
          [run](std::uint64_t count) { run->plain(count); },
          [run] { return run->sum(); }};
}

}  // namespace

std::vector<StoreRuns> sqlite_runs(bool quick) {
  const std::uint64_t scale = quick ? 4 : 1;
  return {runs_of(SqliteSynchronous::normal, "synchronous:normal", 400'000 / scale),
          runs_of(SqliteSynchronous::full, "synchronous:full", 100'000 / scale)};
}

}  // namespace sluice::bench
