// SPDX-License-Identifier: Apache-2.0
// Times of single happenings, few enough to keep every one: exact quantiles as the counters of a benchmark.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

namespace sluice::bench {

class Samples {
 public:
  void add(std::chrono::nanoseconds time) { times_ns_.push_back(static_cast<double>(time.count())); }
  std::size_t count() const noexcept { return times_ns_.size(); }
  // The nearest rank; 0 when there are none.
  double quantile_ns(double part) {
    if (times_ns_.empty()) return 0;
    std::sort(times_ns_.begin(), times_ns_.end());
    return times_ns_[static_cast<std::size_t>(std::lround(part * static_cast<double>(times_ns_.size() - 1)))];
  }
  // p50_ns to max_ns, and how many times they rest on.
  void report(benchmark::State& state) {
    for (const auto& [name, part] :
         {std::pair{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}, {"p99.9_ns", 0.999}, {"max_ns", 1.0}})
      state.counters[name] = quantile_ns(part);
    state.counters["samples"] = static_cast<double>(count());
  }

 private:
  std::vector<double> times_ns_;
};

}  // namespace sluice::bench
