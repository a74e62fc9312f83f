// SPDX-License-Identifier: Apache-2.0
// What the suite `connect` writes into each store, by a pipeline and by a plain program: the same rows in the
// same batches.
//
// A store joins by a function that gives its runs, built where its connector is, and a line in
// bench_connect.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/fields.hpp>
#include <sluice/pipeline.hpp>
#include <sluice/worker.hpp>

namespace sluice::bench {

struct StoredRow {
  std::uint64_t number = 0;
  std::uint32_t account = 0;
  std::int32_t cents = 0;
  char purpose[24] = {};
};

StoredRow stored_row(std::uint64_t number);
// Its members by their names, where rows are text.
const Fields<StoredRow>& stored_fields();

// How many rows a transaction has: batch.events of the pipeline, and what the plain program does by itself.
inline constexpr std::uint64_t kRowsABatch = 256;

// What a store holds after a run.
struct StoredSum {
  std::uint64_t rows = 0;
  std::uint64_t numbers = 0;  // Their sum.
};

struct StoreRuns {
  std::string store;       // "sqlite": the group of the benchmark.
  std::string parameters;  // "synchronous:full"
  std::uint64_t rows = 0;
  std::function<void()> empty;  // Before each run, not measured.
  // Adds the stage that stores these rows.
  std::function<void(const Stream<StoredRow>&)> sink;
  std::function<void(std::uint64_t rows)>
      plain;                       // Writes stored_row(0) to stored_row(rows - 1) by the library alone.
  std::function<StoredSum()> sum;  // After each run, not measured.
  // Programs that do the same in another way.
  struct Peer {
    std::string name;
    std::function<void(std::uint64_t rows)> run;
  };
  std::vector<Peer> peers = {};
};

std::vector<StoreRuns> sqlite_runs(bool quick);
std::vector<StoreRuns> file_runs(bool quick);
std::vector<StoreRuns> tcp_client_runs(bool quick);
std::vector<StoreRuns> nats_runs(bool quick);
std::vector<StoreRuns> kafka_runs(bool quick);
std::vector<StoreRuns> postgres_runs(bool quick, bool peers);

// A source and a plain program that reads the same; each counts what it reads with note_read().
struct SourceRuns {
  std::string source;  // The group of the benchmark.
  std::string parameters;
  std::uint64_t rows = 0;
  std::function<void()> prepare;  // Before each run, not measured.
  // In the child that is measured; they return once note_read() has been told of all rows.
  std::function<void()> sluice;
  std::function<void()> plain;
  bool may_lose = false;  // Then note_end() says that nothing more comes.
};

// The line of a row, "NUMBER ACCOUNT CENTS PURPOSE", without a newline.
std::string stored_line(const StoredRow& row);
std::string stored_line(std::uint64_t number);
// Of the process that counts, for each line; the last of `rows` ends the time that is measured.
void note_read(std::string_view line, std::uint64_t rows);
void note_read(const StoredRow& row, std::uint64_t rows);
void note_end();

// Counts in a pipeline what note_read() counts.
template <class Line>
class CountRead {
 public:
  CountRead(Worker&, std::uint64_t rows) : rows_{rows} {}
  void operator()(const Line& line) { note_read(line.text(), rows_); }

 private:
  std::uint64_t rows_;
};

class CountRow {
 public:
  CountRow(Worker&, std::uint64_t rows) : rows_{rows} {}
  void operator()(const StoredRow& row) { note_read(row, rows_); }

 private:
  std::uint64_t rows_;
};

// Starts it, unobserved, and waits for its end.
void run_to_its_end(const Pipeline& pipeline);

std::vector<SourceRuns> file_source_runs(bool quick);
std::vector<SourceRuns> csv_runs(bool quick);
std::vector<SourceRuns> json_runs(bool quick);
std::vector<SourceRuns> tcp_runs(bool quick);
std::vector<SourceRuns> udp_runs(bool quick);
std::vector<SourceRuns> pipe_runs(bool quick);
std::vector<SourceRuns> nats_source_runs(bool quick);
std::vector<SourceRuns> kafka_source_runs(bool quick);
std::vector<SourceRuns> http_runs(bool quick);

}  // namespace sluice::bench
