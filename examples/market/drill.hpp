// SPDX-License-Identifier: Apache-2.0
// The drill: kills workers while the pipeline runs, and measures how long their replacements took.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <sluice/sluice.hpp>

namespace market {

struct DrillOptions {
  std::uint64_t kills = 0;  // SIGKILL to a random worker, this many times.
  std::chrono::nanoseconds kill_every{std::chrono::milliseconds{6}};  // On average.
  bool stall = false;                                                 // Make one worker hang.
  std::uint64_t seed = 0;
};

class Drill {
 public:
  Drill(sluice::Engine& engine, const DrillOptions& options);

  // Called every few milliseconds while the pipeline runs.
  void tick();
  // What was done and how long the replacements took; for people. Empty when nothing was asked.
  std::string report(const sluice::Stats& stats) const;
  bool complete() const noexcept {
    return kills_.size() >= options_.kills && (!options_.stall || stalled_.done);
  }

 private:
  struct Hit {
    std::string worker;
    std::chrono::nanoseconds at{0};  // CLOCK_MONOTONIC.
    bool done = false;
  };

  Hit hit(int signal);
  void schedule();

  sluice::Engine& engine_;
  DrillOptions options_;
  std::mt19937_64 random_;
  std::chrono::nanoseconds next_{0};
  std::vector<Hit> kills_;
  Hit stalled_;
  std::map<std::string, std::uint64_t> hits_of_stage_;
};

}  // namespace market
