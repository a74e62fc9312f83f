// SPDX-License-Identifier: Apache-2.0
#include "checkpoint_costs.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "connect/guarded_directory.hpp"
#include "recovery_pipelines.hpp"
#include "samples.hpp"

namespace sluice::bench {

using detail::monotonic_now;
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kLimit{60};  // For anything to happen.
constexpr std::uint64_t kRowBytes = 128;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct Number {
  std::uint64_t value;
};

class Count {
 public:
  explicit Count(Worker& worker) : next_{worker.state<std::uint64_t>("next")} {}
  bool operator()(Output<Number>& out) {
    out.push({next_.edit()++});
    return true;
  }

 private:
  Recoverable<std::uint64_t> next_;
};

class Sum {
 public:
  explicit Sum(Worker& worker) : sum_{worker.state<std::uint64_t>("sum")} {}
  void operator()(const Number& number, Output<Number>& out) {
    sum_.edit() += number.value;
    out.push(number);
  }

 private:
  Recoverable<std::uint64_t> sum_;
};

struct RowsShape {
  std::uint64_t rows = 1;
  std::uint64_t changing = 1;  // Once all are there: the first ones, in turn.
};

// Rows that no compressor gains by.
class Rows {
 public:
  Rows(Worker& worker, RowsShape shape)
      : shape_{shape}, rows_{worker.table<std::uint64_t, Words>("rows", shape.rows)} {}
  void operator()(const Number& number) {
    if (number.value >= shape_.rows) {
      rows_[number.value % shape_.changing].words[0] = number.value;
      return;
    }
    Words& row = rows_[number.value];
    std::uint64_t bits = number.value;
    for (std::uint64_t& word : row.words) {
      bits += 0x9e3779b97f4a7c15U;
      word = (bits ^ bits >> 30U) * 0xbf58476d1ce4e5b9U;
    }
  }

 private:
  struct Words {
    std::uint64_t words[kRowBytes / 8 - 1];
  };
  RowsShape shape_;
  Table<std::uint64_t, Words> rows_;
};

Pipeline in_a_row(unsigned stages) {
  Pipeline pipeline{"costs"};
  auto stream = pipeline.source<Count>("count");
  for (unsigned stage = 2; stage < stages; ++stage)
    stream = stream.to<Sum>(fmt::format("sum{}", stage));
  stream.to<Rows>("rows", RowsShape{});
  return pipeline;
}

Pipeline keeping(const RowsShape& shape) {
  Pipeline pipeline{"costs"};
  const StageOptions options{.workers = 1, .state_bytes = shape.rows * (kRowBytes + 48) + kMiB};
  pipeline.source<Count>("count").to<Rows>("rows", options, shape);
  return pipeline;
}

// A pipeline with checkpoints in `directory`, every so often; without any where that is empty.
class Costly {
 public:
  Costly(const Pipeline& pipeline, const std::filesystem::path& directory, const std::string& every)
      : engine_{pipeline, settings_of(patient_.value(), directory, every)} {
    engine_.start();
  }
  std::uint64_t handled() const { return engine_.stats().stages.back().events_in(); }
  CheckpointStats checkpoints() const { return engine_.stats().checkpoints; }
  bool await_handled(std::uint64_t events) {
    return await([&] { return handled() >= events; });
  }
  bool await_settled() {
    return await([&] { return engine_.stats().memory.settled; });
  }
  void park() { engine_.park(); }
  void stop() { engine_.stop(); }

 private:
  static Settings settings_of(Settings settings, const std::filesystem::path& directory,
                              const std::string& every) {
    if (directory.empty()) return settings;
    settings.set("checkpoint.path", directory.string());
    settings.set("checkpoint.every", every);
    return settings;
  }
  template <class Done>
  static bool await(Done done) {
    const auto until = monotonic_now() + kLimit;
    while (!done()) {
      if (monotonic_now() > until) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }

  PatientSettings patient_;
  Engine engine_;
};

class Place {
 public:
  explicit Place(const std::shared_ptr<GuardedDirectory>& directory) : path_{directory->path() / "costs"} {
    std::filesystem::remove_all(path_);
  }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

void standstill(benchmark::State& state, unsigned stages, std::size_t wanted, const Place& place) {
  Samples pauses;
  std::uint64_t put_off = 0;
  for ([[maybe_unused]] auto _ : state) {
    Costly pipeline{in_a_row(stages), place.path(), "20ms"};
    if (!pipeline.await_handled(1)) return state.SkipWithError("nothing was handled in time");
    const auto until = monotonic_now() + kLimit;
    CheckpointStats last = pipeline.checkpoints();
    while (pauses.count() < wanted && monotonic_now() < until) {
      std::this_thread::sleep_for(1ms);
      const CheckpointStats now = pipeline.checkpoints();
      if (now.written != last.written) pauses.add(now.pause);
      put_off += now.failures - last.failures;
      last = now;
    }
    pipeline.stop();
  }
  pauses.report(state);
  state.counters["put_off"] = static_cast<double>(put_off);
  if (pauses.count() < wanted) state.SkipWithError("there were too few checkpoints in a minute");
}

constexpr std::uint64_t kOfAllOfIt = 3;

struct Cost {
  RowsShape shape;
  bool checkpoints = false;
  std::chrono::milliseconds time;
};

void cost(benchmark::State& state, const Cost& wanted, const Place& place) {
  Costly pipeline{keeping(wanted.shape), wanted.checkpoints ? place.path() : std::filesystem::path{},
                  "100ms"};
  // The first ones have all of it, and are not what is asked.
  const bool ready = pipeline.await_handled(wanted.shape.rows) && pipeline.await_settled();
  const auto until = monotonic_now() + kLimit;
  while (wanted.checkpoints && pipeline.checkpoints().written < kOfAllOfIt && monotonic_now() < until)
    std::this_thread::sleep_for(10ms);
  const std::uint64_t before = pipeline.handled();
  const std::uint64_t written = pipeline.checkpoints().written;
  for ([[maybe_unused]] auto _ : state)
    std::this_thread::sleep_for(wanted.time);
  state.SetItemsProcessed(static_cast<std::int64_t>(pipeline.handled() - before));
  const double seconds = std::chrono::duration<double>(wanted.time).count();
  state.counters["checkpoints_per_second"] =
      static_cast<double>(pipeline.checkpoints().written - written) / seconds;
  pipeline.stop();
  if (!ready) state.SkipWithError("the state was not filled in time");
}

// From the newest checkpoint, the page cache warm, until all is in memory and an event is handled.
void restore(benchmark::State& state, std::uint64_t bytes, const Place& place) {
  const RowsShape shape{bytes / kRowBytes, 1};
  Samples times;
  for ([[maybe_unused]] auto _ : state) {
    {
      Costly pipeline{keeping(shape), place.path(), "1s"};
      if (!pipeline.await_handled(shape.rows)) return state.SkipWithError("the state was not filled in time");
      pipeline.park();
    }
    const auto start = monotonic_now();
    Costly pipeline{keeping(shape), place.path(), "1s"};
    if (!pipeline.await_handled(pipeline.handled() + 1))
      return state.SkipWithError("nothing was handled in time");
    times.add(monotonic_now() - start);
    pipeline.stop();
  }
  times.report(state);
  state.counters["restored_bytes_per_second"] =
      static_cast<double>(bytes) / (times.quantile_ns(0.5) / 1'000'000'000);
}

}  // namespace

void add_checkpoint_costs(const Options& options) {
  const auto directory = std::make_shared<GuardedDirectory>("checkpoint-costs");
  for (const unsigned stages : {2U, 7U}) {
    add(fmt::format("standstill/sluice/stages:{}", stages), [=, quick = options.quick](auto& state) {
      standstill(state, stages, quick ? 20 : 100, Place{directory});
    })->Iterations(1);
  }
  const std::uint64_t kept = options.quick ? 8 : 100;
  for (const std::uint64_t changing : {std::uint64_t{1}, kept}) {
    const RowsShape shape{kept * kMiB / kRowBytes, changing * kMiB / kRowBytes};
    const std::chrono::milliseconds time{options.quick ? 300 : 2000};
    for (const bool checkpoints : {true, false}) {
      add(fmt::format("checkpoint_cost/{}/state:{}MiB,changing:{}MiB",
                      checkpoints ? "sluice" : "baseline:off", kept, changing),
          [=](auto& state) {
            cost(state, {shape, checkpoints, time}, Place{directory});
          })
          ->Iterations(1);
    }
  }
  const std::uint64_t restored = options.quick ? 8 : 1024;
  add(fmt::format("restore/sluice/state:{}MiB", restored), [=](auto& state) {
    restore(state, restored * kMiB, Place{directory});
  })->Iterations(1);
}

}  // namespace sluice::bench
