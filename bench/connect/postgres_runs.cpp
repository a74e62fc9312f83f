// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: the connector, and a plain program that does the same batches with libpq in pipeline mode, on a server that is
// started for it. Where the server's programs are missing there are no runs. The peers are that program with other batches, and
// one that brings each batch into a table of its session by COPY and from there to its place by a statement.
#include <algorithm>
#include <bit>
#include <cstring>
#include <endian.h>
#include <libpq-fe.h>
#include <memory>
#include <sstream>
#include <string_view>
#include <sys/prctl.h>

#include <fmt/format.h>

#include <sluice/connect/postgres.hpp>
#include <sluice/connect/sql_sink.hpp>
#include <sluice/error.hpp>

#include "postgres_server.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

constexpr const char* kInsertRow = "INSERT INTO payment VALUES ($1, $2, $3, $4)";

struct Clear {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
  void operator()(PGconn* session) const noexcept { PQfinish(session); }
};
using Result = std::unique_ptr<PGresult, Clear>;

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
  void check(bool good) const {
    if (!good) throw Error{{"write to", "PostgreSQL", PQerrorMessage(session_.get()), ""}};
  }

  std::unique_ptr<PGconn, Clear> session_;
};

// A session that copies. COPY has no place in pipeline mode: three round trips a batch.
class CopyPostgres {
 public:
  explicit CopyPostgres(const std::string& url) : session_{PQconnectdb(url.c_str())} {
    check(PQstatus(session_.get()) == CONNECTION_OK);
    run("CREATE TEMP TABLE staging (LIKE payment) ON COMMIT DELETE ROWS", PGRES_COMMAND_OK);
  }

  // Rows `number` to `end`, one transaction.
  void store(std::uint64_t number, std::uint64_t end) {
    run("BEGIN; COPY staging FROM STDIN (FORMAT binary)", PGRES_COPY_IN);
    data_.assign("PGCOPY\n\377\r\n\0", 11);
    put(std::uint32_t{0});
    put(std::uint32_t{0});
    for (; number < end; ++number)
      put(stored_row(number));
    put(std::uint16_t{0xffff});
    check(PQputCopyData(session_.get(), data_.data(), static_cast<int>(data_.size())) == 1);
    check(PQputCopyEnd(session_.get(), nullptr) == 1);
    while (const Result result{PQgetResult(session_.get())})
      check(PQresultStatus(result.get()) == PGRES_COMMAND_OK);
    run("INSERT INTO payment SELECT * FROM staging; COMMIT", PGRES_COMMAND_OK);
  }

 private:
  void run(const char* sql, ExecStatusType wanted) {
    const Result result{PQexec(session_.get(), sql)};
    check(PQresultStatus(result.get()) == wanted);
  }
  template <class Number>
  void put(Number value) {
    for (int shift = 8 * (static_cast<int>(sizeof(value)) - 1); shift >= 0; shift -= 8)
      data_.push_back(static_cast<char>(value >> shift & 0xff));
  }
  template <class Number>
  void put_field(Number value) {
    put(static_cast<std::uint32_t>(sizeof(value)));
    put(value);
  }
  void put(const StoredRow& row) {
    const std::string_view purpose{row.purpose};
    put(std::uint16_t{4});
    put_field(row.number);
    put_field(row.account);
    put_field(std::bit_cast<std::uint32_t>(row.cents));
    put(static_cast<std::uint32_t>(purpose.size()));
    data_.append(purpose);
  }
  void check(bool good) const {
    if (!good) throw Error{{"copy to", "PostgreSQL", PQerrorMessage(session_.get()), ""}};
  }

  std::unique_ptr<PGconn, Clear> session_;
  std::string data_;
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

  void plain(std::uint64_t rows, std::uint64_t rows_a_batch) const {
    PlainPostgres database{server_->url()};
    for (std::uint64_t number = 0; number < rows;) {
      database.queue("BEGIN");
      for (std::uint64_t i = 0; i < rows_a_batch && number < rows; ++i)
        database.queue(stored_row(number++));
      database.queue("COMMIT");
      database.finish();
    }
  }

  void copy(std::uint64_t rows, std::uint64_t rows_a_batch) const {
    CopyPostgres database{server_->url()};
    for (std::uint64_t number = 0; number < rows; number += rows_a_batch)
      database.store(number, std::min(number + rows_a_batch, rows));
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

StoreRuns postgres_runs_of(bool sync, std::uint64_t rows, bool peers) {
  const auto run = std::make_shared<PostgresRun>(sync);
  StoreRuns runs{"postgres",
                 sync ? "fsync:on" : "fsync:off",
                 rows,
                 [run] { run->empty(); },
                 [run](const Stream<StoredRow>& stream) { run->sink(stream); },
                 [run](std::uint64_t count) { run->plain(count, kRowsABatch); },
                 [run] { return run->sum(); }};
  if (!peers) return runs;
  // batch.events of the profiles: latency, balanced, throughput.
  for (const std::uint64_t batch : {std::uint64_t{32}, kRowsABatch, std::uint64_t{2048}}) {
    if (batch != kRowsABatch) {
      runs.peers.push_back({fmt::format("pipeline_{}", batch),
                            [run, batch](std::uint64_t count) { run->plain(count, batch); }});
    }
    runs.peers.push_back(
        {fmt::format("copy_{}", batch), [run, batch](std::uint64_t count) { run->copy(count, batch); }});
  }
  return runs;
}

}  // namespace

std::vector<StoreRuns> postgres_runs(bool quick, bool peers) {
  if (!test::PostgresServer::programs()) return {};
  const std::uint64_t scale = quick ? 4 : 1;
  return {postgres_runs_of(false, 160'000 / scale, peers), postgres_runs_of(true, 160'000 / scale, peers)};
}

}  // namespace sluice::bench
