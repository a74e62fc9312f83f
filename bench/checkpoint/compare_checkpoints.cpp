// SPDX-License-Identifier: Apache-2.0
#include "compare_checkpoints.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "checkpoint_run.hpp"
#include "child_run.hpp"
#include "connect/guarded_directory.hpp"
#include "samples.hpp"
#include "shared.hpp"

namespace sluice::bench {
namespace {

using Keeps = void (*)(const CheckpointRun&, const std::filesystem::path&, CheckpointFigures&);

void report(const CheckpointFigures& figures, benchmark::State& state) {
  Samples pauses;
  Samples durable;
  for (std::size_t round = 0; round < figures.count; ++round) {
    pauses.add(figures.rounds[round].pause);
    durable.add(figures.rounds[round].durable);
  }
  pauses.report(state);
  state.counters["durable_p50_ns"] = durable.quantile_ns(0.5);
  state.counters["written_bytes"] = static_cast<double>(figures.written_bytes) /
                                    static_cast<double>(std::max<std::size_t>(figures.count, 1));
  state.counters["restored_ns"] = static_cast<double>(figures.restored.count());
  state.counters["all_rows_had_ns"] = static_cast<double>(figures.all_rows_had.count());
}

void keep_rows(benchmark::State& state, const CheckpointRun& run, Keeps keeps,
               const std::filesystem::path& parent) {
  for ([[maybe_unused]] auto _ : state) {
    const std::filesystem::path directory = parent / "run";
    std::filesystem::remove_all(directory);
    std::filesystem::create_directory(directory);
    const Shared<CheckpointFigures> figures;
    const ChildRun child = run_child([&] {
      keeps(run, directory, *figures);
      return 0;
    });
    if (!child.problem.empty()) return state.SkipWithError(child.problem.c_str());
    report(*figures, state);
  }
}

}  // namespace

void add_checkpoints(const Options& options) {
  struct Subject {
    const char* name;
    Keeps keeps;
  };
  std::vector<Subject> subjects{{"sluice", checkpoints_by_sluice}, {"baseline:copy", checkpoints_by_copy}};
#ifdef SLUICE_BENCH_ROCKSDB
  if (options.peers) subjects.push_back({"peer:rocksdb", checkpoints_by_rocksdb});
#endif
  const std::vector<CheckpointRun> runs =
      options.quick ? std::vector<CheckpointRun>{{.rows = 50'000, .changed = 1'000, .rounds = 5}}
                    : std::vector<CheckpointRun>{{.rows = 400'000, .changed = 1'000, .rounds = 10},
                                                 {.rows = 400'000, .changed = 20'000, .rounds = 10}};
  // Before the first run: what a suite has forked by then is no child of a run.
  const auto directory = std::make_shared<GuardedDirectory>("checkpoints");
  for (const CheckpointRun& run : runs) {
    for (const Subject& subject : subjects) {
      add(fmt::format("checkpoint/{}/rows:{},changed:{}", subject.name, run.rows, run.changed),
          [run, directory, keeps = subject.keeps](auto& state) {
            keep_rows(state, run, keeps, directory->path());
          })
          ->Iterations(1);
    }
  }
}

}  // namespace sluice::bench
