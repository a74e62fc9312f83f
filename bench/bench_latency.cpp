// SPDX-License-Identifier: Apache-2.0
// Question: how long is an event under way, and what does it cost to wake whoever sleeps?
//
// Baseline: for a wake-up, a bare eventfd for each direction (`baseline:eventfd`) and a bare futex
// (`baseline:futex`), which are always rung, by processes that always block.
//
// Machine: two processing units, 0 and 1. What a wake-up takes is mostly what the processor takes to leave
// its idle state: `held` holds /dev/cpu_dma_latency at 0 meanwhile, which forbids deep ones, where this
// process may open it.
//
//   parked_round_trip/...  64 B to another process and back, one at a time; whoever waits is asleep.
//   open_loop/...  a real pipeline, host -> work -> host, is sent events on a fixed schedule, at a share of
//       the capacity that was measured just before; times count from when an event should have been sent. One
//       stage only, on the unit beside the host's: a second one would have to take turns with it, and would
//       measure the scheduler. end_to_end: from the schedule back to the host. stage:waiting: from the
//       schedule to the handler. stage:work: from there to the host, with the rest of its batch and the
//       commit. All three come from the same runs. late_percent: events that the generator itself sent more
//       than 1 us late.
#include <array>
#include <chrono>
#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/settings.hpp>

#include "disturbance.hpp"
#include "open_loop.hpp"
#include "parked.hpp"
#include "peer.hpp"
#include "samples.hpp"
#include "shared.hpp"
#include "suite.hpp"

namespace sluice::bench {
namespace {

constexpr std::uint64_t kStop = ~std::uint64_t{0};

// Open, it forbids idle states that take longer to leave than nothing. Source: the kernel's pm_qos_interface.
class NoDeepIdle {
 public:
  NoDeepIdle() : fd_{::open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC)} {
    const std::int32_t none_us = 0;
    if (fd_ >= 0 && ::write(fd_, &none_us, sizeof(none_us)) != sizeof(none_us)) close();
  }
  ~NoDeepIdle() { close(); }
  NoDeepIdle(const NoDeepIdle&) = delete;
  NoDeepIdle& operator=(const NoDeepIdle&) = delete;
  bool held() const noexcept { return fd_ >= 0; }

 private:
  void close() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int fd_;
};

template <class Way>
void echo(Way& way) {
  typename Way::Side side{way, 1};
  std::uint64_t number = 0;
  while (side.receive(number)) {
    side.send(number);
    if (number == kStop) return;
  }
}

template <class Way>
void parked_round_trip(benchmark::State& state, bool held) {
  std::optional<NoDeepIdle> idle;
  if (held && !idle.emplace().held()) return state.SkipWithError("/dev/cpu_dma_latency cannot be opened");
  Way way;
  const Peer peer{Apart::processes, 1, [&way] { echo(way); }};
  typename Way::Side side{way, 0};
  Samples times;
  std::uint64_t number = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    side.send(++number);
    std::uint64_t back = 0;
    if (!side.receive(back) || back != number) {
      state.SkipWithError("what came back in a second is not what was sent");
      break;
    }
    times.add(std::chrono::steady_clock::now() - start);
  }
  side.send(kStop);
  times.report(state);
}

template <class Way>
void add_parked(const char* subject) {
  for (const bool held : {false, true}) {
    add(fmt::format("parked_round_trip/{}/64B{}", subject, held ? "/held" : ""),
        [held](auto& state) { parked_round_trip<Way>(state, held); });
  }
}

// A run of the pipeline has the figures of three benchmarks, whose rounds come in any order: the first one
// that has its n-th round makes the n-th run, for all three.
class OpenLoopRuns {
 public:
  enum Part : std::size_t { end_to_end, waiting, work, idle_host, idle_worker };
  static constexpr std::size_t kParts = 5;

  OpenLoopRuns(const OpenLoop& wanted, const std::string& profile) : wanted_{wanted} {
    settings_.set("profile", profile);
    settings_.set("observe.socket", "off");
    settings_.set("log.level", "error");  // It kills workers all the time: that is no news.
  }
  void report(Part part, benchmark::State& state) {
    const std::size_t round = rounds_[part]++;
    if (round == runs_.size()) runs_.push_back(make_run());
    const Run& run = *runs_.at(round);
    if (!run.problem.empty()) return state.SkipWithError(run.problem.c_str());
    const OpenLoopTimes& times = *run.times;
    const std::array<const Histogram*, kParts> all = {&times.end_to_end, &times.waiting, &times.work,
                                                      &times.idle_host, &times.idle_worker};
    bench::report(*all.at(part), state);
    bench::report(run.shares, state);
    if (part != end_to_end) return;
    state.counters["late_percent"] = times.late_percent();
    state.counters["capacity_per_second"] = times.capacity;
  }

 private:
  struct Run {
    Shared<OpenLoopTimes> times;
    std::string problem;
    Disturbance::Shares shares;
  };
  std::unique_ptr<Run> make_run() const {
    const Disturbance disturbance;
    auto run = std::make_unique<Run>();
    run->problem = run_open_loop(wanted_, settings_, *run->times);
    run->shares = disturbance.until_now();
    return run;
  }

  OpenLoop wanted_;
  Settings settings_;
  std::vector<std::unique_ptr<Run>> runs_;
  std::array<std::size_t, kParts> rounds_{};
};

void add_open_loop(const OpenLoop& wanted, const std::string& profile) {
  const auto runs = std::make_shared<OpenLoopRuns>(wanted, profile);
  for (const auto& [subject, part] : {std::pair{"end_to_end", OpenLoopRuns::end_to_end},
                                      {"stage:waiting", OpenLoopRuns::waiting},
                                      {"stage:work", OpenLoopRuns::work},
                                      {"limit:idle_loop_host", OpenLoopRuns::idle_host},
                                      {"limit:idle_loop_worker", OpenLoopRuns::idle_worker}}) {
    auto* added = add(fmt::format("open_loop/{}/load:{:.0f}%/{}", subject, 100 * wanted.load, profile),
                      [runs, part = part](benchmark::State& state) {
                        for ([[maybe_unused]] auto _ : state)
                          runs->report(part, state);
                      });
    if (added != nullptr) added->Iterations(1);
  }
}

void add_all(const Options& options) {
  pin(0);  // The peer has 1.
  add_parked<ParkedEventfd>("baseline:eventfd");
  add_parked<ParkedFutex>("baseline:futex");
  add_parked<ParkedLane>("lane");
  for (const char* profile : {"balanced", "latency"}) {
    for (const double load : {0.1, 0.5, 0.8, 0.95}) {
      add_open_loop({.load = load,
                     .saturated = std::chrono::milliseconds{options.quick ? 40 : 200},
                     .burst = std::chrono::milliseconds{options.quick ? 150 : 2000},
                     .control = std::chrono::milliseconds{options.quick ? 75 : 1000}},
                    profile);
    }
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
