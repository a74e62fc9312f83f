// SPDX-License-Identifier: Apache-2.0
// Question: how soon after a SIGKILL does a replacement work, with how much state, and what do the others
// notice of it?
//
// Baseline: the same without us. `limit:fork_store` kills a process that spins on unit 1, learns of it by a
// pidfd, forks, and the new process pins itself to unit 1 and stores the time: nothing is watched, recovered
// or kept. `baseline:undisturbed` is the same pipeline while nobody is killed.
//
// Machine: two processing units, 0 and 1. Both are busy with the pipeline when the kill comes, so that master
// and replacement have to be given a turn; a machine with a unit to spare is faster.
//
//   replacement/...  a source feeds a worker, which changes a row of its state for every event; the worker is
//       killed. p50_ns to p99_ns: from before the signal is sent to the replacement's first event, of kills
//       for which events waited. noticed, born and ready are what the time goes into, each counted from the
//       signal: the master knows of the death, first instruction, recovered with its handler constructed.
//       state:SIZE is a table that large; rows all over it are in use, four for each page. `sluice` has its large states in
//       huge pages, as the kernel gives them behind the start; `baseline:small_pages` does not.
//       busy:N has N other programs that compete for the two units all the time.
//   crash/...        the same for a SIGSEGV, without core dumps and with them: the kernel writes the core before the
//       death is known, into a directory below TMPDIR. `skipped` where core_pattern sends cores elsewhere.
//   full_rate/...    from the signal until the worker handles 95 % of the events per time that it handled
//       before, seen in windows of half a millisecond: state is mapped page by page as it is touched.
//   burst/...        events come on a fixed schedule (open_loop.hpp) in bursts of 20 ms at 80 % of the
//       capacity that was measured just before; the worker is killed in the midst of each. Times from when an
//       event should have been sent until it is back at the host.
//   bystander/...    events a second of a worker that has nothing to do with the killed one, which dies every
//       10 ms.
//   checkpoint/...   the same rows of 120 bytes, of which as many are changed between two checkpoints, drawn by chance, kept by a
//       pipeline, by RocksDB's Checkpoint without its write-ahead log (`peer:rocksdb`), by a copy of all of them
//       (`baseline:copy`). All are fsynced before they count. p50_ns to max_ns: the pause of whoever changes rows. durable: from
//       the instant of which a checkpoint is until it is on the disk. written_bytes: for one, by write(2), of all processes.
//       restored: until a row can be had again, the page cache warm, and all_rows_had: each once.
//   standstill/...   how long all workers of a pipeline stand still for a checkpoint of little state, asking them and letting them go on
//       included. stages:2 has a unit for each worker, stages:7 shares two. put_off: they had not come to a commit in time.
//   checkpoint_cost/...  events a second of a source and a worker whose state has the size `state`, of which `changing` is changed in turn all
//       the time, with ten checkpoints a second and without any (`baseline:off`). checkpoints_per_second: how many there were.
//   restore/...      from before the engine is made until the first event, from a checkpoint of a table of incompressible rows, the page
//       cache warm; restored_bytes_per_second is the table by that time.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/ipc/relax.hpp>

#include "bare_recovery.hpp"
#include "checkpoint/checkpoint_costs.hpp"
#include "checkpoint/compare_checkpoints.hpp"
#include "open_loop.hpp"
#include "recovery_pipelines.hpp"
#include "samples.hpp"
#include "shared.hpp"
#include "suite.hpp"

namespace sluice::bench {

using namespace detail;
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kLimit{5};  // For anything to happen.

struct Parts {
  Samples noticed, born, ready, first_event;

  void add(const LifeStats& life, std::chrono::nanoseconds killed) {
    noticed.add(life.predecessor_dead - killed);
    born.add(life.born - killed);
    ready.add(life.ready - killed);
    if (life.input_at_ready) first_event.add(life.first_event - killed);
  }
  void report(benchmark::State& state) {
    first_event.report(state);
    state.counters["noticed_p50_ns"] = noticed.quantile_ns(0.5);
    state.counters["born_p50_ns"] = born.quantile_ns(0.5);
    state.counters["ready_p50_ns"] = ready.quantile_ns(0.5);
  }
};

// Kills come at no particular instant of a batch, and not before the last replacement has settled.
class Intervals {
 public:
  void wait() { std::this_thread::sleep_for(std::chrono::microseconds{time_(random_)}); }

 private:
  std::mt19937_64 random_{std::random_device{}()};
  std::uniform_int_distribution<int> time_{3'000, 6'000};
};

// Cores of this process and what it forks, and where they go: into a directory that is removed at the end.
class Cores {
 public:
  explicit Cores(bool wanted) : before_{std::filesystem::current_path()} {
    ::getrlimit(RLIMIT_CORE, &limit_);
    rlimit limit = limit_;
    limit.rlim_cur = wanted ? limit.rlim_max : 0;
    ::setrlimit(RLIMIT_CORE, &limit);
    std::string name = (std::filesystem::temp_directory_path() / "sluice-cores-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return;
    directory_ = name;
    std::filesystem::current_path(directory_);
  }
  ~Cores() {
    ::setrlimit(RLIMIT_CORE, &limit_);
    std::error_code error;
    std::filesystem::current_path(before_, error);
    if (!directory_.empty()) std::filesystem::remove_all(directory_, error);
  }
  Cores(const Cores&) = delete;
  Cores& operator=(const Cores&) = delete;

  std::uintmax_t largest_bytes() const {
    std::uintmax_t most = 0;
    for (const auto& entry : std::filesystem::directory_iterator{directory_})
      most = std::max(most, entry.file_size());
    return most;
  }

 private:
  std::filesystem::path before_;
  std::filesystem::path directory_;
  rlimit limit_{};
};

struct StateSize {
  std::uint64_t bytes = 0;
  const char* huge = "auto";  // memory.huge
};

// Programs that want a processor all the time, each in a session of its own as those of other users are.
class Busy {
 public:
  explicit Busy(unsigned programs) {
    while (programs_.size() < programs) {
      const pid_t child = ::fork();
      if (child < 0) throw std::runtime_error{"cannot fork what keeps the machine busy"};
      if (child > 0) {
        programs_.push_back(child);
        continue;
      }
      ::setsid();
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      unpin();
      for (;;)
        ipc::relax();
    }
  }
  ~Busy() {
    for (const pid_t program : programs_)
      ::kill(program, SIGKILL);
    for (const pid_t program : programs_)
      ::waitpid(program, nullptr, 0);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  // Whoever else runs may be anywhere.
  static void unpin() {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int unit = 0; unit < CPU_SETSIZE; ++unit)
      CPU_SET(unit, &all);
    ::sched_setaffinity(0, sizeof(all), &all);
  }
  std::vector<pid_t> programs_;
};

void replacement(benchmark::State& state, const StateSize& size, int kills, int signal = SIGKILL) {
  Parts parts;
  for ([[maybe_unused]] auto _ : state) {
    Touched pipeline{size.bytes, size.huge};
    if (!pipeline.await_touched(kLimit * 8)) return state.SkipWithError("the state was not filled in time");
    Intervals intervals;
    for (int kill = 0; kill < kills; ++kill) {
      intervals.wait();
      const auto killed = pipeline.kill(signal);
      const auto life = pipeline.await_successor(killed, kLimit);
      if (!life) return state.SkipWithError("a killed worker was not replaced in time");
      parts.add(*life, killed);
    }
    if (const std::string fault = pipeline.end(); !fault.empty()) return state.SkipWithError(fault.c_str());
  }
  parts.report(state);
}

void crash(benchmark::State& state, std::uint64_t state_bytes, bool with_core, int kills) {
  const Cores cores{with_core};
  replacement(state, {state_bytes}, kills, SIGSEGV);
  const std::uintmax_t bytes = cores.largest_bytes();
  state.counters["core_bytes"] = static_cast<double>(bytes);
  if (with_core && bytes == 0) state.SkipWithError("cores go elsewhere here: see kernel.core_pattern");
}

void fork_store(benchmark::State& state, int kills) {
  Samples times;
  for ([[maybe_unused]] auto _ : state) {
    for (int kill = 0; kill < kills; ++kill) {
      const auto time = kill_and_replace_bare(kLimit);
      if (!time) return state.SkipWithError("a bare process could not be forked, killed or replaced");
      times.add(*time);
    }
  }
  times.report(state);
}

// Events a second, of windows long enough to count in and short beside what is measured.
constexpr std::chrono::microseconds kWindow{500};

void full_rate(benchmark::State& state, const StateSize& size, int kills) {
  Samples times;
  for ([[maybe_unused]] auto _ : state) {
    Touched pipeline{size.bytes, size.huge};
    if (!pipeline.await_touched(kLimit * 8)) return state.SkipWithError("the state was not filled in time");
    for (int kill = 0; kill < kills; ++kill) {
      std::this_thread::sleep_for(100ms);
      const double before = pipeline.rate_over(50ms);
      const auto killed = pipeline.kill();
      const auto back = pipeline.await_rate({0.95 * before, kWindow, kLimit});
      if (!back) return state.SkipWithError("a replacement did not come back to 95 % in time");
      times.add(*back - killed);
    }
    if (const std::string fault = pipeline.end(); !fault.empty()) return state.SkipWithError(fault.c_str());
  }
  times.report(state);
}

void bystander(benchmark::State& state, bool killing, std::chrono::milliseconds time) {
  Neighbours pipeline;
  std::uint64_t kills = 0;
  const std::uint64_t before = pipeline.bystanders_events();
  for ([[maybe_unused]] auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < time) {
      std::this_thread::sleep_for(10ms);
      if (killing && pipeline.kill()) ++kills;
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(pipeline.bystanders_events() - before));
  state.counters["kills"] = static_cast<double>(kills);
  if (killing && kills == 0) state.SkipWithError("nobody could be killed");
}

void burst(benchmark::State& state, bool kill, unsigned bursts) {
  const PatientSettings patient;
  const Shared<OpenLoopTimes> times;
  const OpenLoop wanted{
      .load = 0.8, .saturated = 50ms, .burst = 20ms, .bursts = bursts, .rest = 10ms, .kill = kill};
  for ([[maybe_unused]] auto _ : state) {
    const std::string problem = run_open_loop(wanted, patient.value(), *times);
    if (!problem.empty()) return state.SkipWithError(problem.c_str());
  }
  report(times->end_to_end, state);
  state.counters["late_percent"] = times->late_percent();
  state.counters["kills"] = static_cast<double>(times->kills);
  if (kill && times->kills == 0) state.SkipWithError("nobody could be killed");
}

void add_all(const Options& options) {
  const int kills = options.quick ? 20 : 100;
  add("replacement/limit:fork_store/state:0B", [kills](auto& state) {
    fork_store(state, kills);
  })->Iterations(1);
  const std::vector<std::pair<const char*, std::uint64_t>> sizes{{"0B", 0},
                                                                 {"1MiB", std::uint64_t{1} << 20},
                                                                 {"100MiB", std::uint64_t{100} << 20},
                                                                 {"1GiB", std::uint64_t{1} << 30}};
  for (const auto& [text, bytes] : sizes) {
    if (options.quick && bytes > (std::uint64_t{1} << 20)) continue;
    add(fmt::format("replacement/sluice/state:{}", text), [bytes = bytes, kills](auto& state) {
      replacement(state, {bytes}, kills);
    })->Iterations(1);
    const bool large = bytes > std::uint64_t{16} << 20U;
    if (large) {
      add(fmt::format("replacement/baseline:small_pages/state:{}", text), [bytes = bytes,
                                                                           kills](auto& state) {
        replacement(state, {bytes, "never"}, kills);
      })->Iterations(1);
      add(fmt::format("full_rate/baseline:small_pages/state:{}", text), [bytes = bytes](auto& state) {
        full_rate(state, {bytes, "never"}, 5);
      })->Iterations(1);
    }
    if (bytes == std::uint64_t{1} << 20) {
      add(fmt::format("replacement/sluice/state:{},busy:8", text), [bytes = bytes, kills](auto& state) {
        const Busy others{8};
        replacement(state, {bytes}, kills);
      })->Iterations(1);
    }
    for (const bool cores : {false, true}) {
      if (bytes != std::uint64_t{1} << 20)
        continue;  // A core of a large state says only how fast the disk is.
      add(fmt::format("crash/{}/state:{}", cores ? "sluice" : "baseline:no_core", text),
          [bytes = bytes, cores, kills](auto& state) { crash(state, bytes, cores, kills / 5 + 1); })
          ->Iterations(1);
    }
    if (options.quick) continue;
    add(fmt::format("full_rate/sluice/state:{}", text), [bytes = bytes](auto& state) {
      full_rate(state, {bytes}, 5);
    })->Iterations(1);
  }
  for (const bool kill : {true, false}) {
    add(fmt::format("burst/{}/killed", kill ? "sluice" : "baseline:undisturbed"),
        [kill, bursts = options.quick ? 5U : 50U](auto& state) { burst(state, kill, bursts); })
        ->Iterations(1);
  }
  const std::chrono::milliseconds time{options.quick ? 150 : 1000};
  for (const bool killing : {true, false}) {
    add(fmt::format("bystander/{}/killing", killing ? "sluice" : "baseline:undisturbed"), [killing, time](
                                                                                              auto& state) {
      bystander(state, killing, time);
    })->Iterations(1);
  }
  add_checkpoints(options);
  add_checkpoint_costs(options);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
