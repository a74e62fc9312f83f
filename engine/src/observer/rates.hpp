// SPDX-License-Identifier: Apache-2.0
// Rates and shares of time, from looks at the statistics of one life of a pipeline.
//
// A worker whose batch takes long, or a sink that commits once a second, changes its counters in steps. So a rate is taken
// from one step to another, not from one look to another: it is right for steps that come more often than the window is
// long, at whatever time a look falls between them. Look some dozen times a window. Pure but for what it keeps of the
// window; one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <sluice/stats.hpp>

namespace sluice::detail {

// A counter that moves in steps.
class StepRate {
 public:
  // `at` grows with every look.
  void look(std::uint64_t count, std::chrono::nanoseconds at, std::chrono::nanoseconds window);
  // A second; 0 when it has stood still for a window.
  double per_second(std::chrono::nanoseconds window) const noexcept;

 private:
  struct Step {
    std::chrono::nanoseconds at{0};
    std::uint64_t count = 0;
  };
  std::vector<Step> steps_;  // One at most before the window.
  std::chrono::nanoseconds last_look_{0};
};

// Of one worker. The shares are 0 to 1.
struct WorkerRates {
  double in_per_second = 0;
  double out_per_second = 0;
  double busy = 0;
  double waiting = 0;
  double full = 0;
  double outside = 0;
  double cpu = 0;  // Processors.
};

class Rates {
 public:
  explicit Rates(std::chrono::nanoseconds window) : window_{window} {}
  // `at`: when the stats were taken, on CLOCK_MONOTONIC.
  void look(const Stats& stats, std::chrono::nanoseconds at);

  // Nothing before there are two looks. `stage` and `worker` are places in Stats.
  std::optional<WorkerRates> of(std::size_t stage, std::size_t worker) const;
  // What the stage does: events in, of a source events out.
  std::optional<double> of(std::size_t stage) const;
  // From the first look that counts to the last; 0 before there are two.
  std::chrono::nanoseconds covered() const noexcept;

 private:
  struct Look {
    TimeStats time;
    std::optional<UsageStats> usage;
    std::uint32_t incarnation = 0;
  };
  struct OfWorker {
    StepRate in;
    StepRate out;
    std::vector<Look> looks;  // As many as there are times_.
  };
  struct OfStage {
    bool source = false;
    std::vector<OfWorker> workers;
  };

  std::chrono::nanoseconds window_;
  std::vector<std::chrono::nanoseconds> times_;  // Of the looks that are kept: one at most before the window.
  std::vector<OfStage> stages_;
};

}  // namespace sluice::detail
