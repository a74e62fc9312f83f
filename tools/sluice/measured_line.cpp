// SPDX-License-Identifier: Apache-2.0
#include "measured_line.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include <fmt/format.h>

#include <sluice/pinning/measured.hpp>
#include <sluice/printable.hpp>

namespace sluice::command {
namespace {

std::size_t stage_named(const Stats& stats, const std::string& name) {
  const auto found = std::find_if(stats.stages.begin(), stats.stages.end(),
                                  [&](const StageStats& stage) { return stage.name == name; });
  return found == stats.stages.end() ? pinning::kHost
                                     : static_cast<std::size_t>(found - stats.stages.begin());
}

// A stage counts what comes in, over all its flows, and what goes out: that is a flow's own where it is the only one.
double carried(const Stats& stats, const FlowStats& flow) {
  const auto alike = [&](std::string FlowStats::*end) {
    return std::count_if(stats.flows.begin(), stats.flows.end(),
                         [&](const FlowStats& each) { return each.*end == flow.*end; });
  };
  const std::size_t from = stage_named(stats, flow.from);
  const std::size_t to = stage_named(stats, flow.to);
  if (to != pinning::kHost && alike(&FlowStats::to) == 1)
    return static_cast<double>(stats.stages[to].events_in());
  if (from != pinning::kHost && alike(&FlowStats::from) == 1)
    return static_cast<double>(stats.stages[from].events_out());
  return 0;
}

}  // namespace

std::string measured_line(const Stats& stats, std::chrono::nanoseconds now) {
  const double seconds = std::chrono::duration<double>(now - stats.started).count();
  if (seconds <= 0)
    throw std::runtime_error{"the pipeline has not started yet: ask again once it is at work"};
  pinning::PlanRequest measured;
  for (const StageStats& stage : stats.stages) {
    double busy = 0;
    for (const WorkerStats& worker : stage.workers)
      busy += std::chrono::duration<double>(worker.time.busy).count();
    measured.stages.push_back({.name = stage.name, .load = busy / seconds});
  }
  for (const FlowStats& flow : stats.flows) {
    measured.flows.push_back({.from = stage_named(stats, flow.from),
                              .to = stage_named(stats, flow.to),
                              .rate = carried(stats, flow) / seconds});
  }
  return fmt::format("# {}: the means of its first {:.0f} s\nplacement.measured = {}\n",
                     printable(stats.pipeline), seconds, pinning::measured_text(measured));
}

}  // namespace sluice::command
