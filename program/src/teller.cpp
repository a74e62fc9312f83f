// SPDX-License-Identifier: Apache-2.0
#include "teller.hpp"

#include <cstdio>

#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

constexpr std::chrono::milliseconds kLook{100};
// A service that comes and goes is told of so often, whatever it says each time.
constexpr std::chrono::seconds kAgain{10};

}  // namespace

void Teller::look(const Stats& stats, bool draining, Clock::time_point now,
                  const std::function<void()>& say) {
  next_look_ = now + kLook;
  bool said = false;
  const auto begin_line = [&] {
    if (!said) say();
    said = true;
  };
  for (const StageStats& stage : stats.stages) {
    for (const WorkerStats& worker : stage.workers) {
      if (worker.outside.empty()) continue;
      Told& told = told_[worker.name];
      const bool the_same = told.text == worker.outside;
      const auto quiet = now - (the_same ? told.seen : told.said);
      if (the_same) told.seen = now;
      if (!told.text.empty() && told.draining == draining && quiet < kAgain) continue;
      told = {worker.outside, draining, now, now};
      begin_line();
      std::fprintf(stderr, "waiting: %s%s waits outside: %s\n",
                   draining ? "the drain goes on when it is back: " : "", worker.name.c_str(),
                   printable(worker.outside).c_str());
    }
  }
  if (stats.reports_lost == 0 || lost_told_) return;
  lost_told_ = true;
  begin_line();
  std::fprintf(stderr, "problem: a report could not be written into %s; the pipeline goes on\n",
               printable(stats.reports).c_str());
}

}  // namespace sluice::detail
