// SPDX-License-Identifier: Apache-2.0
// Question: what do lanes and workers cost that have nothing to do?
//
// Baseline: none but the same thing with fewer of them; read the first line of each group.
//
// Machine: two processing units, 0 for the benchmark and 1 for the worker, that nobody else uses; a limit of
// open files and of processes above 300 (ulimit -n, ulimit -u).
//
//   lanes/worker/idle:N/active:M  events of 16 B into one worker by M lanes in turn, while N more are empty.
//       The worker is the engine's, run_worker() in its process. The lanes come from as many workers of a
//       stage before it, each with a region of its own; the benchmark writes them itself, so that they cost
//       no processes (lone_worker.hpp).
//   start/engine/workers:N        from Engine::start() to all N workers being at work.
//   idle/workers/64               a pipeline of 64 workers and no input: cpu_percent of one unit that all its
//       processes take, supervisor, master and standby among them.
//       The first second after the start is left out.
//   all_to_all/engine/workers:N   N workers of a stage in front of N of another, a lane for each pair: start_ns until
//       all are at work, kernel_bytes of what the kernel takes for them (page tables, stacks, slab), respawn_ns from a
//       SIGKILL of one until its replacement is at work.
//   memory/lane                   overhead_bytes: what a lane adds to the segment beside its slots.
//   memory/worker                 private_bytes: private memory of a worker of an empty handler beyond that
//       of a process that was only forked. Pages of the segment are shared and not counted.
#include <cctype>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <tuple>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/engine.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/waiting.hpp>
#include <sluice/pipeline.hpp>

#include "lone_worker.hpp"
#include "peer.hpp"
#include "suite.hpp"

namespace sluice::bench {

using namespace detail;
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Tick {
  std::uint64_t number;
  std::uint64_t word;
};

// Only its lanes are used; nobody runs it.
struct Silent {
  bool operator()(Output<Tick>&) { return false; }
};
struct SilentTwice {
  bool operator()(Output<Tick>&, Output<Tick>&) { return false; }
};

class Sums {
 public:
  explicit Sums(Worker& worker) : sum_{worker.state<std::uint64_t>("sum")} {}
  void operator()(const Tick& tick) { sum_.edit() += tick.number; }

 private:
  Recoverable<std::uint64_t> sum_;
};

struct Nothing {
  void operator()(const Tick&) {}
};

Settings small_settings() {
  Settings settings;
  settings.set("lane.slots", "1024");
  settings.set("undo.bytes", "4KiB");
  settings.set("state.bytes", "4KiB");
  settings.set("observe.socket", "off");
  return settings;
}

void lanes(benchmark::State& state, unsigned idle, unsigned active) {
  constexpr std::uint64_t kEventsAnIteration = 16384;
  constexpr std::uint64_t kPortion = 32;  // Of one lane before the next has its turn.
  Pipeline pipeline{"scale"};
  pipeline.source<Silent>("feed", StageOptions{.workers = idle + active}).to<Sums>("sum");
  Settings settings = small_settings();
  settings.set("wait.strategy", "spin");
  LoneWorker worker{pipeline.graph(), settings, "sum/0"};
  // The active lanes are not neighbours: they are spread over all of them.
  const std::size_t stride = (idle + active) / active;
  std::uint64_t sent = 0;
  std::uint64_t sum = 0;
  std::size_t turn = 0;
  bool came = true;
  const auto send = [&] {
    ipc::LaneProducer& lane = worker.inputs()[turn++ % active * stride];
    for (std::uint64_t i = 0; i < kPortion; ++i) {
      std::byte* at = lane.reserve(sizeof(Tick));
      if (at == nullptr) break;
      const Tick tick{++sent, 0};
      std::memcpy(at, &tick, sizeof(tick));
      lane.advance(sizeof(tick));
      sum += sent;
    }
    lane.publish();
  };
  for ([[maybe_unused]] auto _ : state) {
    const std::uint64_t end = sent + kEventsAnIteration;
    came = came && spin_until([&] {
             send();
             return sent >= end;
           });
    if (!came) break;
  }
  came = came && spin_until([&] { return worker.events_in() == sent; });
  if (!came) state.SkipWithError("the worker takes nothing");
  const auto* result = reinterpret_cast<const std::uint64_t*>(worker.state_piece("sum", sizeof(sum)));
  if (came && (result == nullptr || *result != sum)) state.SkipWithError("the sum of the events is wrong");
  state.SetItemsProcessed(static_cast<std::int64_t>(sent));
}

Pipeline row_of(unsigned workers) {
  Pipeline pipeline{"row"};
  pipeline.inlet<Tick>("in").to<Nothing>("take", StageOptions{.workers = workers});
  return pipeline;
}

void start(benchmark::State& state, unsigned workers) {
  const Pipeline pipeline = row_of(workers);
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    Engine engine{pipeline, small_settings()};
    state.ResumeTiming();
    engine.start();
    state.PauseTiming();
    engine.stop();
    state.ResumeTiming();
  }
}

// Page tables, stacks and objects of the kernel, of the whole machine.
std::uint64_t kernel_bytes() {
  std::uint64_t kibibytes = 0;
  std::ifstream file{"/proc/meminfo"};
  for (std::string line; std::getline(file, line);) {
    std::istringstream words{line};
    std::string key;
    std::uint64_t value = 0;
    words >> key >> value;
    if (key == "PageTables:" || key == "KernelStack:" || key == "Slab:") kibibytes += value;
  }
  return kibibytes * 1024;
}

struct Hand {
  void operator()(const Tick& tick, Output<Tick>& out) { out.push(tick); }
};

void all_to_all(benchmark::State& state, unsigned workers) {
  Pipeline pipeline{"all_to_all"};
  pipeline.inlet<Tick>("in")
      .to<Hand>("hand", StageOptions{.workers = workers})
      .to<Nothing>("take", StageOptions{.workers = workers});
  for ([[maybe_unused]] auto _ : state) {
    Engine engine{pipeline, small_settings()};
    const std::uint64_t before = kernel_bytes();
    const auto from = Clock::now();
    engine.start();
    state.counters["start_ns"] = std::chrono::duration<double, std::nano>(Clock::now() - from).count();
    state.counters["kernel_bytes"] = static_cast<double>(kernel_bytes()) - static_cast<double>(before);
    std::this_thread::sleep_for(100ms);
    const auto killed = Clock::now();
    if (!engine.signal_worker("take/0", SIGKILL)) return state.SkipWithError("nobody could be killed");
    const auto replaced = [&engine, killed]() -> std::optional<LifeStats> {
      for (const LifeStats& life : engine.stats().stages.back().workers.front().lives) {
        if (life.born > killed.time_since_epoch() && life.ready > 0ns) return life;
      }
      return std::nullopt;
    };
    std::optional<LifeStats> life;
    while (!(life = replaced())) {
      if (Clock::now() - killed > kHopeless) return state.SkipWithError("a killed worker was not replaced");
      std::this_thread::sleep_for(3ms);
    }
    state.counters["respawn_ns"] = static_cast<double>((life->ready - killed.time_since_epoch()).count());
    engine.stop();
  }
}

// All processes below this one.
std::vector<pid_t> descendants() {
  std::vector<std::pair<pid_t, pid_t>> parents;  // Process, parent.
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    if (std::isdigit(static_cast<unsigned char>(entry.path().filename().string().front())) == 0) continue;
    std::ifstream file{entry.path() / "stat"};
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) continue;
    std::istringstream rest{text.substr(name_end + 1)};
    std::string process_state;
    pid_t parent = 0;
    rest >> process_state >> parent;
    parents.emplace_back(std::stoi(text), parent);
  }
  std::vector<pid_t> found{::getpid()};
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (const auto& [process, parent] : parents) {
      if (parent == found[i]) found.push_back(process);
    }
  }
  found.erase(found.begin());
  return found;
}

// Time on a processor, as the scheduler accounts for it.
double cpu_seconds_of(const std::vector<pid_t>& processes) {
  double seconds = 0;
  for (const pid_t process : processes) {
    std::ifstream file{fmt::format("/proc/{}/schedstat", process)};
    std::uint64_t on_cpu_ns = 0;
    file >> on_cpu_ns;
    seconds += static_cast<double>(on_cpu_ns) * 1e-9;
  }
  return seconds;
}

void idle(benchmark::State& state, unsigned workers, std::chrono::milliseconds watched) {
  const Pipeline pipeline = row_of(workers);
  for ([[maybe_unused]] auto _ : state) {
    Engine engine{pipeline, small_settings()};
    engine.start();
    std::this_thread::sleep_for(1200ms);  // By then they have found out that nothing comes.
    const std::vector<pid_t> processes = descendants();
    if (processes.size() < workers) state.SkipWithError("not all workers are there");
    const double before_s = cpu_seconds_of(processes);
    const auto from = Clock::now();
    std::this_thread::sleep_for(watched);
    const double elapsed_s = std::chrono::duration<double>(Clock::now() - from).count();
    state.counters["cpu_percent"] = 100 * (cpu_seconds_of(processes) - before_s) / elapsed_s;
    engine.stop();
  }
}

std::uint64_t segment_bytes(const Pipeline& pipeline) {
  const Host host{pipeline.graph(), small_settings()};
  const Descriptor segment{host.wiring().segment().open_read_only()[0]};
  struct stat found {};
  if (::fstat(segment.get(), &found) != 0) throw Error{{"measure", "a segment", errno_text(), ""}};
  return static_cast<std::uint64_t>(found.st_size);
}

// 16 stages' workers to 16, by one outlet each and by two: 256 lanes more.
void lane_memory_overhead(benchmark::State& state) {
  constexpr std::uint64_t kLanes = 256;
  constexpr std::uint64_t kSlotsBytes = 1024 * sizeof(Tick);
  Pipeline once{"once"};
  once.source<Silent>("feed", StageOptions{.workers = 16}).to<Nothing>("take", StageOptions{.workers = 16});
  Pipeline twice{"twice"};
  auto [left, right] = twice.source<SilentTwice>("feed", StageOptions{.workers = 16});
  left.merge(right).to<Nothing>("take", StageOptions{.workers = 16});
  for ([[maybe_unused]] auto _ : state) {
    const std::uint64_t more = segment_bytes(twice) - segment_bytes(once);
    state.counters["overhead_bytes"] = static_cast<double>(more) / kLanes - kSlotsBytes;
  }
}

// What is neither shared with another process nor part of a segment.
std::uint64_t private_bytes_of(pid_t process) {
  std::ifstream file{fmt::format("/proc/{}/smaps", process)};
  std::uint64_t kibibytes = 0;
  bool segment = false;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words{line};
    std::string key;
    std::uint64_t value = 0;
    words >> key >> value;
    if (key.find('-') != std::string::npos) segment = line.find("memfd:") != std::string::npos;
    if (!segment && (key == "Private_Clean:" || key == "Private_Dirty:")) kibibytes += value;
  }
  return kibibytes * 1024;
}

std::uint64_t private_bytes_of_a_fork() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw Error{{"make", "a pipe", errno_text(), ""}};
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    ::close(ends[1]);
    ::_exit(::read(ends[0], &byte, 1) == 0 ? 0 : 1);  // Until the other end closes.
  }
  std::this_thread::sleep_for(50ms);
  const std::uint64_t bytes = private_bytes_of(child);
  ::close(ends[0]);
  ::close(ends[1]);
  ::waitpid(child, nullptr, 0);
  return bytes;
}

void worker_memory(benchmark::State& state) {
  constexpr std::uint64_t kEvents = 10'000;
  for ([[maybe_unused]] auto _ : state) {
    const std::uint64_t baseline = private_bytes_of_a_fork();
    Engine engine{row_of(1), small_settings()};
    engine.start();
    Inlet<Tick> in = engine.inlet<Tick>("in");
    for (std::uint64_t i = 0; i < kEvents; ++i)
      std::ignore = in.push({i, 0});
    const auto until = Clock::now() + kHopeless;
    while (engine.stats().stages.front().workers.front().events_in < kEvents && Clock::now() < until)
      std::this_thread::sleep_for(1ms);
    const WorkerStats worker = engine.stats().stages.front().workers.front();
    if (worker.events_in != kEvents) state.SkipWithError("the worker takes nothing");
    const std::uint64_t bytes = private_bytes_of(worker.pid);
    state.counters["private_bytes"] = static_cast<double>(bytes) - static_cast<double>(baseline);
    engine.stop();
  }
}

void add_lanes(unsigned idle, unsigned active) {
  add(fmt::format("lanes/worker/idle:{}/active:{}", idle, active),
      [idle, active](benchmark::State& state) { lanes(state, idle, active); });
}

// What was pinned for the lanes may use every unit again; an engine places its workers where its host may be.
void with_all_units(const Work& work, benchmark::State& state) {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int unit = 0; unit < ::sysconf(_SC_NPROCESSORS_ONLN); ++unit)
    CPU_SET(unit, &all);
  ::sched_setaffinity(0, sizeof(all), &all);
  work(state);
  pin(0);
}

void add_engine(const std::string& name, Work work) {
  add(name, [work = std::move(work)](benchmark::State& state) { with_all_units(work, state); })
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
}

// Every worker takes a doorbell, and some more while it starts.
void raise_limit_of_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void add_all(const Options& options) {
  raise_limit_of_files();
  pin(0);
  for (const unsigned idle : {0U, 7U, 63U, 256U, 1000U})
    add_lanes(idle, 1);
  if (!options.quick) {
    for (const unsigned all : {8U, 256U, 1000U}) {
      if (all > 8) add_lanes(all - 8, 8);
      add_lanes(0, all);
    }
  }
  for (const unsigned workers : options.quick ? std::vector{1U, 64U} : std::vector{1U, 8U, 64U, 256U})
    add_engine(fmt::format("start/engine/workers:{}", workers),
               [workers](benchmark::State& state) { start(state, workers); });
  const auto watched = options.quick ? 500ms : 4000ms;
  if (!options.quick) {
    for (const unsigned workers : {128U, 256U})
      add_engine(fmt::format("all_to_all/engine/workers:{}", workers),
                 [workers](benchmark::State& state) { all_to_all(state, workers); });
  }
  add_engine("idle/workers/64", [watched](benchmark::State& state) { idle(state, 64, watched); });
  add_engine("memory/lane", &lane_memory_overhead);
  add_engine("memory/worker", &worker_memory);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
