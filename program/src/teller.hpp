// SPDX-License-Identifier: Apache-2.0
// The teller: says on stderr, at once and once each, what a run waits for outside, and that a report was lost. Used by
// the loop of sluice::run().
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include <sluice/stats.hpp>

namespace sluice::detail {

class Teller {
 public:
  using Clock = std::chrono::steady_clock;

  // Whether a look is due: it costs a copy of the statistics.
  bool due(Clock::time_point now) const noexcept { return now >= next_look_; }
  // `say` is called before the first line of a look.
  void look(const Stats& stats, bool draining, Clock::time_point now, const std::function<void()>& say);

 private:
  struct Told {
    std::string text;
    bool draining = false;
    Clock::time_point said;
    Clock::time_point seen;  // Last, with this text.
  };

  std::map<std::string, Told> told_;  // By the worker's name.
  bool lost_told_ = false;
  Clock::time_point next_look_;
};

}  // namespace sluice::detail
