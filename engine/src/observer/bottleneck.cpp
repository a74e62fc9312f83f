// SPDX-License-Identifier: Apache-2.0
#include "sluice/bottleneck.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <sluice/printable.hpp>

namespace sluice {
namespace {

// So much of its time has a stage to work that is named whatever the others do,
constexpr double kSaturated = 0.8;
// and so much if those in front of it are seen to wait for it.
constexpr double kMostOfTheTime = 0.5;
// So much of its time a stage waits for room before that says anything.
constexpr double kPressed = 0.3;
// Less apart than this, two stages are equally busy as far as the watchdog can see.
constexpr double kAlike = 0.05;

// Shares of the time between the looks.
struct Shares {
  double busy = 0;
  double waiting = 0;
  double full = 0;
  double outside = 0;
  double absent = 0;
};

// What a stage has done between the looks.
struct Pace {
  bool known = false;  // It has a worker that is not over and was looked at.
  Shares most;         // Of the worker that is busiest.
  std::string worker;  // Its name,
  std::string away;    // and what it waits for outside.
  double busy = 0;     // The mean of its workers.
  double full = 0;     // The most of any worker.
  double waiting = 1;  // The least of any worker.
  double pressure = 0;

  bool pressed() const noexcept { return pressure >= kPressed; }
  // A stage without a process holds up only those that have something for it.
  double held() const noexcept { return most.busy + most.outside + (pressed() ? most.absent : 0); }
  bool blocks() const noexcept {
    return known && (held() >= kSaturated || (pressed() && held() >= kMostOfTheTime));
  }
};

std::optional<Shares> shares_of(const TimeStats& from, const TimeStats& to) noexcept {
  const auto watched = static_cast<double>((to.watched - from.watched).count());
  if (watched <= 0) return std::nullopt;
  const auto share = [watched](std::chrono::nanoseconds before, std::chrono::nanoseconds now) {
    return std::clamp(static_cast<double>((now - before).count()) / watched, 0.0, 1.0);
  };
  Shares shares{share(from.busy, to.busy), share(from.waiting, to.waiting), share(from.full, to.full),
                share(from.outside, to.outside), 0};
  shares.absent = std::max(0.0, 1 - shares.busy - shares.waiting - shares.full - shares.outside);
  return shares;
}

TimeStats time_before(const Stats& before, std::size_t stage, std::size_t worker) {
  if (stage >= before.stages.size() || worker >= before.stages[stage].workers.size()) return {};
  return before.stages[stage].workers[worker].time;
}

Pace pace_of(const Stats& before, const Stats& now, std::size_t stage) {
  Pace pace;
  std::size_t counted = 0;
  const std::vector<WorkerStats>& workers = now.stages[stage].workers;
  for (std::size_t w = 0; w < workers.size(); ++w) {
    const WorkerStats& worker = workers[w];
    if (worker.finished || worker.verdict == "shed") continue;
    const auto shares = shares_of(time_before(before, stage, w), worker.time);
    if (!shares) continue;
    const auto works = [](const Shares& of) { return of.busy + of.outside + of.absent / 2; };
    if (!pace.known || works(*shares) > works(pace.most)) {
      pace.most = *shares;
      pace.worker = worker.name;
      pace.away = worker.outside;
    }
    pace.known = true;
    pace.busy += shares->busy;
    pace.full = std::max(pace.full, shares->full);
    pace.waiting = std::min(pace.waiting, shares->waiting);
    ++counted;
  }
  if (counted != 0) pace.busy /= static_cast<double>(counted);
  return pace;
}

std::optional<std::size_t> stage_of(const Stats& stats, const std::string& name) {
  for (std::size_t s = 0; s < stats.stages.size(); ++s) {
    if (stats.stages[s].name == name) return s;
  }
  return std::nullopt;
}

std::vector<Pace> paces_of(const Stats& before, const Stats& now) {
  std::vector<Pace> paces;
  paces.reserve(now.stages.size());
  for (std::size_t s = 0; s < now.stages.size(); ++s)
    paces.push_back(pace_of(before, now, s));
  for (const FlowStats& flow : now.flows) {
    const auto to = stage_of(now, flow.to);
    if (!to) continue;
    const auto from = stage_of(now, flow.from);
    // How long the host waits for room is not known; what it has pushed is.
    paces[*to].pressure = std::max(paces[*to].pressure, from ? paces[*from].full : flow.occupancy);
  }
  return paces;
}

// The stage that is busiest. Of several that are as busy, the one that others wait for most.
std::optional<std::size_t> busiest(const std::vector<Pace>& paces) {
  double most = 0;
  for (const Pace& pace : paces) {
    if (pace.blocks()) most = std::max(most, pace.held());
  }
  std::optional<std::size_t> found;
  for (std::size_t s = 0; s < paces.size(); ++s) {
    if (!paces[s].blocks() || paces[s].held() < most - kAlike) continue;
    if (!found || paces[s].pressure > paces[*found].pressure) found = s;
  }
  return found;
}

std::string percent(double share) {
  return fmt::format("{:.0f} %", share * 100);
}

// Who waits, as the reason; those behind only where there is no one in front.
std::string waits_text(const Stats& now, const std::vector<Pace>& paces, std::size_t stage) {
  constexpr double kWorthSaying = 0.05;
  const std::string& name = now.stages[stage].name;
  std::string text;
  for (const FlowStats& flow : now.flows) {
    if (flow.to != name) continue;
    const auto from = stage_of(now, flow.from);
    if (from && paces[*from].full >= kWorthSaying)
      text.append(fmt::format(", {} waits {} for it", flow.from, percent(paces[*from].full)));
    if (!from && flow.occupancy >= kMostOfTheTime)
      text.append(fmt::format(", the lane from {} is {} full", flow.from, percent(flow.occupancy)));
  }
  if (!text.empty()) return text;
  for (const FlowStats& flow : now.flows) {
    const auto to = stage_of(now, flow.to);
    if (flow.from == name && to && paces[*to].known && paces[*to].waiting >= kWorthSaying)
      text.append(fmt::format(", {} waits {} for what it makes", flow.to, percent(paces[*to].waiting)));
  }
  return text;
}

// A worker of the stage that somebody has stopped while it had something to do: to the watchdog it spends its time as it did
// before.
const WorkerStats* stopped_worker(const StageStats& stage) {
  const auto found =
      std::find_if(stage.workers.begin(), stage.workers.end(), [&stage](const WorkerStats& worker) {
        return worker.verdict == "stopped" && (stage.source || worker.occupancy > 0);
      });
  return found == stage.workers.end() ? nullptr : &*found;
}

// The stage with such a worker for which others wait most.
std::optional<std::size_t> stopped_stage(const Stats& now, const std::vector<Pace>& paces) {
  std::optional<std::size_t> found;
  for (std::size_t s = 0; s < now.stages.size(); ++s) {
    if (stopped_worker(now.stages[s]) == nullptr) continue;
    if (!found || paces[s].pressure > paces[*found].pressure) found = s;
  }
  return found;
}

Bottleneck described(const Stats& now, const std::vector<Pace>& paces, std::size_t stage) {
  const Pace& pace = paces[stage];
  Bottleneck found{now.stages[stage].name, BottleneckReason::busy, pace.most.busy, {}};
  found.text = found.name + " is the bottleneck: ";
  if (const WorkerStats* stopped = stopped_worker(now.stages[stage])) {
    found.reason = BottleneckReason::stopped;
    found.share = pace.pressure;
    found.text.append(fmt::format("{} is stopped (kill -CONT {})", stopped->name, stopped->pid));
  } else if (pace.most.outside > pace.most.busy) {
    found.reason = BottleneckReason::outside;
    found.share = pace.most.outside;
    found.text.append(fmt::format("it waits {} for the outside", percent(found.share)));
    if (!pace.away.empty()) found.text.append(" (").append(printable(pace.away)).append(")");
  } else if (pace.pressed() && pace.most.absent > pace.most.busy) {
    found.reason = BottleneckReason::absent;
    found.share = pace.most.absent;
    found.text.append(fmt::format("{} without a process at work", percent(found.share)));
  } else if (pace.most.busy > pace.busy + kPressed / 2) {
    // A key that is asked for more than others, for one.
    found.text.append(fmt::format("{} is {} busy, the workers together {}", pace.worker,
                                  percent(pace.most.busy), percent(pace.busy)));
  } else {
    found.text.append(fmt::format("{} busy", percent(pace.most.busy)));
  }
  found.text.append(waits_text(now, paces, stage));
  return found;
}

// The outlet that the host leaves full, if a stage waits for it longer than `than`.
std::optional<Bottleneck> left_full(const Stats& now, const std::vector<Pace>& paces, double than) {
  std::optional<Bottleneck> found;
  for (const FlowStats& flow : now.flows) {
    const auto from = stage_of(now, flow.from);
    if (!from || stage_of(now, flow.to) || flow.occupancy < kMostOfTheTime) continue;
    const double full = paces[*from].full;
    if (full < kMostOfTheTime || full <= than) continue;
    than = full;
    found = Bottleneck{flow.to, BottleneckReason::not_taken, full,
                       fmt::format("{} is the bottleneck: the host does not take what is there, {} waits {} "
                                   "for room",
                                   flow.to, flow.from, percent(full))};
  }
  return found;
}

bool is_over(const Stats& now) {
  const auto all_finished = [](const StageStats& stage) {
    return std::all_of(stage.workers.begin(), stage.workers.end(),
                       [](const WorkerStats& worker) { return worker.finished; });
  };
  return (now.state != "running" && now.state != "starting") ||
         std::all_of(now.stages.begin(), now.stages.end(), all_finished);
}

}  // namespace

std::string_view name_of(BottleneckReason reason) noexcept {
  switch (reason) {
    case BottleneckReason::busy:
      return "busy";
    case BottleneckReason::outside:
      return "outside";
    case BottleneckReason::absent:
      return "absent";
    case BottleneckReason::not_taken:
      return "not taken";
    case BottleneckReason::stopped:
      return "stopped";
  }
  return "?";
}

std::optional<Bottleneck> bottleneck_of(const Stats& before, const Stats& now) {
  if (is_over(now)) return std::nullopt;
  const std::vector<Pace> paces = paces_of(before, now);
  auto stage = busiest(paces);
  if (auto outlet = left_full(now, paces, stage ? paces[*stage].held() : 0)) return outlet;
  if (!stage) stage = stopped_stage(now, paces);
  if (!stage) return std::nullopt;
  return described(now, paces, *stage);
}

std::string bottleneck_text(const Stats& before, const Stats& now) {
  if (const auto found = bottleneck_of(before, now)) return found->text;
  if (is_over(now)) return "no bottleneck: the pipeline is over";
  bool known = false;
  bool all_wait = true;
  for (const Pace& pace : paces_of(before, now)) {
    known = known || pace.known;
    all_wait = all_wait && (!pace.known || pace.waiting >= kMostOfTheTime);
  }
  if (!known) return "the bottleneck is not known yet: the watchdog has not looked";
  return all_wait ? "no bottleneck: the stages wait for input"
                  : "no bottleneck: no stage is busy all the time";
}

}  // namespace sluice
