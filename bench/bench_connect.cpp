// SPDX-License-Identifier: Apache-2.0
// Question: what does it cost that each row comes about exactly once, beside a plain program that writes the
// same rows?
//
// Baseline: a program of one process that makes the same rows and writes them with the store's own library,
// in transactions of as many rows, in the same mode. It keeps no watermark, and after a kill has rows twice
// or not at all. Wanted: 0.8 of it.
//
// Machine: two processing units. The plain program has one of them, the pipeline's two workers have both.
//
//   STORE/SUBJECT/PARAMETERS    a source makes rows, a stage stores them; from the first row made until the pipeline, or the
//                               program, has ended. What the store holds then must be those rows, each once.
//   SOURCE/SUBJECT/PARAMETERS   lines are read and counted; until the last one is. The pipeline is started before, and
//                               reads in one worker and counts in another. Datagrams may be lost: the rate is that of those
//                               that were read, and lost_percent says how many of those that were sent were not.
//
// A whole system of these, examples/bank, beside the same in Node: tools/bench-bank.
#include <charconv>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/sluice.hpp>

#include "child_run.hpp"
#include "connect/stores.hpp"
#include "suite.hpp"

namespace sluice::bench {

StoredRow stored_row(std::uint64_t number) {
  StoredRow row;
  const std::uint64_t bits = number * 0x9e37'79b9'7f4a'7c15;
  row.number = number;
  row.account = static_cast<std::uint32_t>(bits >> 44U) % 10'000;
  row.cents = static_cast<std::int32_t>(bits >> 40U);
  std::memcpy(row.purpose, "rent of a small flat", 21);
  return row;
}

std::string stored_line(const StoredRow& row) {
  std::string line = std::to_string(row.number);
  line.append(" ").append(std::to_string(row.account));
  line.append(" ").append(std::to_string(row.cents));
  return line.append(" ").append(row.purpose);
}
std::string stored_line(std::uint64_t number) {
  return stored_line(stored_row(number));
}

const Fields<StoredRow>& stored_fields() {
  static const Fields<StoredRow> fields{{"number", &StoredRow::number},
                                        {"account", &StoredRow::account},
                                        {"cents", &StoredRow::cents},
                                        {"purpose", &StoredRow::purpose}};
  return fields;
}

namespace {

// In one process at a time.
StoredSum read_rows;

}  // namespace

// The first row begins the time of a run, its last one ends it.
void note_read(const StoredRow& row, std::uint64_t rows) {
  if (read_rows.rows == 0) told().begin();
  read_rows.numbers += row.number;
  if (++read_rows.rows == rows) note_end();
}
void note_end() {
  if (told().last_ns.load() == 0) told().end(read_rows.rows, read_rows.numbers);
}
void run_to_its_end(const Pipeline& pipeline) {
  Settings settings;
  settings.set("observe.socket", "off");
  Engine engine{pipeline, settings};
  engine.start();
  engine.wait();
}
void note_read(std::string_view line, std::uint64_t rows) {
  StoredRow row;
  std::from_chars(line.data(), line.data() + line.size(), row.number);
  note_read(row, rows);
}

namespace {

class Rows {
 public:
  Rows(Worker& worker, std::uint64_t rows) : next_{worker.state<std::uint64_t>("next")}, rows_{rows} {}
  bool operator()(Output<StoredRow>& out) {
    if (*next_ == 0 && told().first_ns.load() == 0) told().begin();
    if (*next_ == rows_) return false;
    out.push(stored_row(next_.edit()++));
    return true;
  }

 private:
  Recoverable<std::uint64_t> next_;
  std::uint64_t rows_;
};

int by_pipeline(const StoreRuns& runs) {
  Pipeline pipeline{"bench"};
  runs.sink(pipeline.source<Rows>("rows", runs.rows));
  Settings settings;
  settings.set("batch.events", std::to_string(kRowsABatch));
  settings.set("observe.socket", "off");
  Engine engine{pipeline, settings};
  engine.start();
  engine.wait();
  told().end(0, 0);
  return 0;
}

int by_program(const std::function<void(std::uint64_t)>& plain, std::uint64_t rows) {
  told().begin();
  plain(rows);
  told().end(0, 0);
  return 0;
}

void measure(benchmark::State& state, const StoreRuns& runs, const std::function<int()>& work) {
  const std::uint64_t sum = runs.rows * (runs.rows - 1) / 2;
  for ([[maybe_unused]] auto _ : state) {
    runs.empty();
    const ChildRun run = run_child(work);
    if (!run.problem.empty()) return state.SkipWithError(run.problem.c_str());
    const StoredSum stored = runs.sum();
    if (stored.rows != runs.rows || stored.numbers != sum)
      return state.SkipWithError("the store does not hold each row once");
    state.counters["items_per_second"] = static_cast<double>(runs.rows) / told().seconds();
    state.counters["cpu_ns_per_item"] = run.cpu_s * 1e9 / static_cast<double>(runs.rows);
  }
}

void add_once(const std::string& name, Work work) {
  benchmark::internal::Benchmark* added = add(name, std::move(work));
  if (added != nullptr) added->Iterations(1)->Unit(benchmark::kMillisecond);
}

void add_store(const StoreRuns& runs) {
  add_once(fmt::format("{}/sluice/{}", runs.store, runs.parameters),
           [runs](benchmark::State& state) { measure(state, runs, [&] { return by_pipeline(runs); }); });
  std::vector<StoreRuns::Peer> others{{"baseline:plain_program", runs.plain}};
  for (const StoreRuns::Peer& peer : runs.peers)
    others.push_back({"peer:" + peer.name, peer.run});
  for (const StoreRuns::Peer& other : others) {
    add_once(fmt::format("{}/{}/{}", runs.store, other.name, runs.parameters),
             [runs, other](benchmark::State& state) {
               measure(state, runs, [&] { return by_program(other.run, runs.rows); });
             });
  }
}

void measure_source(benchmark::State& state, const SourceRuns& runs, const std::function<void()>& work) {
  for ([[maybe_unused]] auto _ : state) {
    runs.prepare();
    const ChildRun run = run_child([&] {
      work();
      return 0;
    });
    if (!run.problem.empty()) return state.SkipWithError(run.problem.c_str());
    const std::uint64_t read = told().events.load();
    if (read == 0 || read > runs.rows || (read < runs.rows && !runs.may_lose) ||
        (read == runs.rows && told().sum.load() != runs.rows * (runs.rows - 1) / 2))
      return state.SkipWithError("each line was not read once");
    state.counters["items_per_second"] = static_cast<double>(read) / told().seconds();
    state.counters["cpu_ns_per_item"] = run.cpu_s * 1e9 / static_cast<double>(read);
    if (runs.may_lose)
      state.counters["lost_percent"] =
          100 * static_cast<double>(runs.rows - read) / static_cast<double>(runs.rows);
  }
}

void add_source(const SourceRuns& runs) {
  add_once(fmt::format("{}/sluice/{}", runs.source, runs.parameters),
           [runs](benchmark::State& state) { measure_source(state, runs, runs.sluice); });
  add_once(fmt::format("{}/baseline:plain_program/{}", runs.source, runs.parameters),
           [runs](benchmark::State& state) { measure_source(state, runs, runs.plain); });
}

void add_stores(const Options& options) {
#ifdef SLUICE_BENCH_SQLITE
  for (const StoreRuns& runs : sqlite_runs(options.quick))
    add_store(runs);
#endif
#ifdef SLUICE_BENCH_FILE
  for (const StoreRuns& runs : file_runs(options.quick))
    add_store(runs);
  for (const SourceRuns& runs : file_source_runs(options.quick))
    add_source(runs);
  for (const SourceRuns& runs : csv_runs(options.quick))
    add_source(runs);
  for (const SourceRuns& runs : tcp_runs(options.quick))
    add_source(runs);
  for (const StoreRuns& runs : tcp_client_runs(options.quick))
    add_store(runs);
  for (const SourceRuns& runs : udp_runs(options.quick))
    add_source(runs);
  for (const SourceRuns& runs : pipe_runs(options.quick))
    add_source(runs);
#endif
#ifdef SLUICE_BENCH_JSON
  for (const SourceRuns& runs : json_runs(options.quick))
    add_source(runs);
#endif
#ifdef SLUICE_BENCH_HTTP
  for (const SourceRuns& runs : http_runs(options.quick))
    add_source(runs);
#endif
#ifdef SLUICE_BENCH_NATS
  for (const StoreRuns& runs : nats_runs(options.quick))
    add_store(runs);
  for (const SourceRuns& runs : nats_source_runs(options.quick))
    add_source(runs);
#endif
#ifdef SLUICE_BENCH_KAFKA
  for (const StoreRuns& runs : kafka_runs(options.quick))
    add_store(runs);
  for (const SourceRuns& runs : kafka_source_runs(options.quick))
    add_source(runs);
#endif
#ifdef SLUICE_BENCH_POSTGRES
  for (const StoreRuns& runs : postgres_runs(options.quick, options.peers))
    add_store(runs);
#endif
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_stores);
}
