// SPDX-License-Identifier: Apache-2.0
// An open-loop generator: events are sent when a fixed schedule says, whatever became of those before, and
// every time counts from the moment that the schedule meant, so that one long wait is felt by all the events
// that it delays.
//
// host -> work -> host: the host is the generator and takes the results back, on one processing unit; the one
// worker of the stage `work` has the other. The handler computes for some 200 ns, longer than what the host
// does for an event: at full load it is the pipeline that is full, not its generator.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <benchmark/benchmark.h>

#include <sluice/settings.hpp>

#include "histogram.hpp"

namespace sluice::bench {

struct OpenLoop {
  double load = 0.5;  // Share of the capacity, which is measured first, with the same events.
  std::chrono::nanoseconds saturated{0};  // For so long.
  std::chrono::nanoseconds burst{0};      // How long events are sent on the schedule.
  unsigned bursts = 1;
  std::chrono::nanoseconds rest{0};     // Between two bursts.
  std::chrono::nanoseconds control{0};  // How long the control runs, behind all bursts.
  bool kill = false;                    // The worker, by SIGKILL, in the midst of each burst.
};

// What came of it, in memory that the processes of the pipeline share. Every histogram has one writer.
struct OpenLoopTimes {
  Histogram waiting;     // From the intended time to the handler. By the worker.
  Histogram work;        // From the handler to the host: the work, the commit, the way back. By the host.
  Histogram end_to_end;  // From the intended time to the host. By the host.
  // What the machine alone does: how late two loops, one on each unit, that do nothing but look at the clock find
  // out that a moment of the same schedule has come. After the bursts, when the pipeline has ended.
  Histogram idle_host;    // On the host's unit.
  Histogram idle_worker;  // On the worker's.
  // By the host.
  double capacity = 0;     // Events a second.
  std::uint64_t sent = 0;  // On the schedule.
  std::uint64_t late = 0;  // Of these, how many the host itself sent more than kLate after their time.
  std::uint64_t kills = 0;

  static constexpr std::chrono::nanoseconds kLate{1000};
  double late_percent() const noexcept {
    return sent == 0 ? 0 : 100 * static_cast<double>(late) / static_cast<double>(sent);
  }
};

// The quantiles p50_ns to p99.99_ns, max_ns, and how many events they rest on, as counters of a benchmark.
void report(const Histogram& times, benchmark::State& state);

// In a child of this process, with all that it starts. Every event must come back once and in order. Empty,
// or what went wrong. `times` must be fresh and shared.
std::string run_open_loop(const OpenLoop& wanted, const Settings& settings, OpenLoopTimes& times);

}  // namespace sluice::bench
