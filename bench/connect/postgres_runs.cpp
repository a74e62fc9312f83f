// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: the connector, and a plain program that does the same batches with libpq in pipeline mode, on a server that is
// started for it. Where the server's programs are missing there are no runs.
#include <bit>
#include <cstring>
#include <endian.h>
#include <libpq-fe.h>
#include <memory>
#include <sstream>
#include <string_view>
#include <sys/prctl.h>

#include <sluice/connect/postgres.hpp>
#include <sluice/connect/sql_sink.hpp>
#include <sluice/error.hpp>

#include "postgres_server.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

constexpr const char* kInsertRow = "INSERT INTO payment VALUES ($1, $2, $3, $4)";

// A session in pipeline mode that ends the run with the server's text where something fails.
class PlainPostgres {
 public:
  explicit PlainPostgres(const std::string& url) : session_{PQconnectdb(url.c_str())} {
    check(PQstatus(session_.get()) == CONNECTION_OK);
    const Result prepared{PQprepare(session_.get(), "insert", kInsertRow, 0, nullptr)};
    check(PQresultStatus(prepared.get()) == PGRES_COMMAND_OK);
    check(PQenterPipelineMode(session_.get()) == 1);
    // Otherwise libpq could wait to send while the server waits to send.
    check(PQsetnonblocking(session_.get(), 1) == 0);
  }

  void queue(const char* sql) {
    check(PQsendQueryParams(session_.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, 0) == 1);
  }
  void queue(const StoredRow& row) {
    const std::uint64_t number = htobe64(row.number);
    const std::uint32_t account = htobe32(row.account);
    const std::uint32_t cents = htobe32(std::bit_cast<std::uint32_t>(row.cents));
    const char* const values[] = {reinterpret_cast<const char*>(&number),
                                  reinterpret_cast<const char*>(&account),
                                  reinterpret_cast<const char*>(&cents), row.purpose};
    const int lengths[] = {sizeof(number), sizeof(account), sizeof(cents),
                           static_cast<int>(std::strlen(row.purpose))};
    const int formats[] = {1, 1, 1, 1};
    check(PQsendQueryPrepared(session_.get(), "insert", 4, values, lengths, formats, 0) == 1);
  }
  void finish() {
    check(PQpipelineSync(session_.get()) == 1);
    check(PQflush(session_.get()) >= 0);
    while (true) {
      const Result result{PQgetResult(session_.get())};
      if (!result) {
        check(PQstatus(session_.get()) == CONNECTION_OK);
        continue;
      }
      const ExecStatusType status = PQresultStatus(result.get());
      if (status == PGRES_PIPELINE_SYNC) return;
      check(status == PGRES_COMMAND_OK);
    }
  }

 private:
  struct Clear {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
    void operator()(PGconn* session) const noexcept { PQfinish(session); }
  };
  using Result = std::unique_ptr<PGresult, Clear>;

  void check(bool good) const {
    if (!good) throw Error{{"write to", "PostgreSQL", PQerrorMessage(session_.get()), ""}};
  }

  std::unique_ptr<PGconn, Clear> session_;
};

class PostgresRun {
 public:
  explicit PostgresRun(bool sync) : sync_{sync} {}

  void empty() {
    if (!server_) {
      // Its guard is to be a child of init and not of this process, which waits for its children after each run.
      ::prctl(PR_SET_CHILD_SUBREAPER, 0);
      server_ = std::make_unique<test::PostgresServer>(
          std::filesystem::path{},
          std::vector<std::string>{sync_ ? "fsync = on" : "fsync = off", "shared_buffers = 256MB",
                                   "max_wal_size = 4GB", "autovacuum = off"});
    }
    server_->query(
        "DROP TABLE IF EXISTS payment; "
        "CREATE TABLE payment (number bigint, account integer, cents integer, purpose text)");
    server_->query("CHECKPOINT");
  }

  void plain(std::uint64_t rows) const {
    PlainPostgres database{server_->url()};
    for (std::uint64_t number = 0; number < rows;) {
      database.queue("BEGIN");
      for (std::uint64_t i = 0; i < kRowsABatch && number < rows; ++i)
        database.queue(stored_row(number++));
      database.queue("COMMIT");
      database.finish();
    }
  }

  void sink(const Stream<StoredRow>& rows) const {
    PostgresOptions options;
    options.url = server_->url();
    rows.to<SqlSink<PostgresStore, StoredRow>>(
        "store", options,
        Sql<StoredRow>{kInsertRow, &StoredRow::number, &StoredRow::account, &StoredRow::cents,
                       &StoredRow::purpose});
  }

  StoredSum sum() const {
    std::istringstream text{server_->query("SELECT count(*), coalesce(sum(number), 0) FROM payment")};
    StoredSum sum;
    char bar = 0;
    text >> sum.rows >> bar >> sum.numbers;
    return sum;
  }

 private:
  bool sync_;
  std::unique_ptr<test::PostgresServer> server_;
};

StoreRuns postgres_runs_of(bool sync, std::uint64_t rows) {
  const auto run = std::make_shared<PostgresRun>(sync);
  return {"postgres",
          sync ? "fsync:on" : "fsync:off",
          rows,
          [run] { run->empty(); },
          [run](const Stream<StoredRow>& stream) { run->sink(stream); },
          [run](std::uint64_t count) { run->plain(count); },
          [run] { return run->sum(); }};
}

}  // namespace

std::vector<StoreRuns> postgres_runs(bool quick) {
  if (!test::PostgresServer::programs()) return {};
  const std::uint64_t scale = quick ? 4 : 1;
  return {postgres_runs_of(false, 80'000 / scale), postgres_runs_of(true, 40'000 / scale)};
}

}  // namespace sluice::bench
