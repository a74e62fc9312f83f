// SPDX-License-Identifier: Apache-2.0
#include "sluice/stats.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace sluice {

namespace {

std::string rate_text(double per_second) {
  if (per_second >= 1e6) return fmt::format("{:.2f} M/s", per_second / 1e6);
  if (per_second >= 1e3) return fmt::format("{:.1f} k/s", per_second / 1e3);
  return fmt::format("{:.0f} /s", per_second);
}

std::string verdicts_of(const StageStats& stage) {
  const auto all = [&stage](auto&& is) {
    return std::all_of(stage.workers.begin(), stage.workers.end(), is);
  };
  if (all([](const WorkerStats& worker) { return worker.finished; })) return "finished";
  std::string text;
  for (const WorkerStats& worker : stage.workers) {
    const std::string verdict = worker.finished ? "finished" : worker.verdict;
    if (text.find(verdict) == std::string::npos) text += (text.empty() ? "" : ", ") + verdict;
  }
  return text;
}

std::string places_of(const StageStats& stage) {
  std::string text;
  for (const WorkerStats& worker : stage.workers) {
    if (text.find(worker.place) == std::string::npos) text += (text.empty() ? "" : " ") + worker.place;
  }
  return text;
}

std::string times_text(std::uint32_t count) {
  return count == 1 ? "once" : fmt::format("{} times", count);
}

// Empty for a worker that has always been where it belongs.
std::string place_text(const WorkerStats& worker) {
  if (worker.displaced == 0 && worker.planned_anew == 0) return {};
  std::string text = fmt::format("{:<12} {}: place {}", "", worker.name, worker.place);
  if (worker.displaced != 0)
    text += fmt::format(", found elsewhere {}, put back {}", times_text(worker.displaced),
                        times_text(worker.put_back));
  if (worker.planned_anew != 0) text += fmt::format(", planned anew {}", times_text(worker.planned_anew));
  if (!worker.place_refused.empty()) text += fmt::format(" (it stays there: {})", worker.place_refused);
  return text + "\n";
}

// A source takes no events in; what it makes is what it did.
std::uint64_t events_of(const StageStats& stage) {
  return stage.source ? stage.events_out() : stage.events_in();
}

}  // namespace

std::uint64_t StageStats::events_in() const noexcept {
  std::uint64_t sum = 0;
  for (const WorkerStats& worker : workers)
    sum += worker.events_in;
  return sum;
}

std::uint64_t StageStats::events_out() const noexcept {
  std::uint64_t sum = 0;
  for (const WorkerStats& worker : workers)
    sum += worker.events_out;
  return sum;
}

std::uint32_t StageStats::restarts() const noexcept {
  std::uint32_t sum = 0;
  for (const WorkerStats& worker : workers)
    sum += worker.restarts;
  return sum;
}

std::uint64_t StageStats::dead_letters() const noexcept {
  std::uint64_t sum = 0;
  for (const WorkerStats& worker : workers)
    sum += worker.dead_letters;
  return sum;
}

std::uint64_t Stats::dead_letters() const noexcept {
  std::uint64_t sum = 0;
  for (const StageStats& stage : stages)
    sum += stage.dead_letters();
  return sum;
}

double StageStats::occupancy() const noexcept {
  double most = 0;
  for (const WorkerStats& worker : workers)
    most = std::max(most, worker.occupancy);
  return most;
}

std::string to_text(const Stats& now, const Stats& before, double seconds) {
  std::string text = fmt::format("{:<12} {:>7}  {:<8} {:>12} {:>12} {:>6} {:>9}  {}\n", "stage", "workers",
                                 "place", "events", "rate", "lanes", "restarts", "state");
  for (std::size_t i = 0; i < now.stages.size(); ++i) {
    const StageStats& stage = now.stages[i];
    const std::uint64_t events = events_of(stage);
    const std::uint64_t earlier = i < before.stages.size() ? events_of(before.stages[i]) : 0;
    const std::string rate =
        seconds > 0 ? rate_text(static_cast<double>(events - earlier) / seconds) : std::string{"-"};
    text += fmt::format("{:<12} {:>7}  {:<8} {:>12} {:>12} {:>5.0f}% {:>9}  {}\n", stage.name,
                        stage.workers.size(), places_of(stage), events, rate, stage.occupancy() * 100,
                        stage.restarts(), verdicts_of(stage));
    for (const WorkerStats& worker : stage.workers) {
      text += place_text(worker);
      if (worker.outside.empty()) continue;
      text += fmt::format("{:<12} {} waits outside since {} s: {}\n", "", worker.name,
                          std::chrono::duration_cast<std::chrono::seconds>(worker.outside_for).count(),
                          worker.outside);
    }
    if (stage.dead_letters() != 0) {
      text +=
          fmt::format("{:<12} {} dead letters: sluice dead list {}\n", "", stage.dead_letters(), now.reports);
    }
  }
  if (now.pages_elsewhere != 0) {
    text += fmt::format("{} of {} pages looked at are on another node than asked for\n", now.pages_elsewhere,
                        now.pages_looked_at);
  }
  if (now.reports_lost != 0)
    text += fmt::format("{} reports could not be written into {}\n", now.reports_lost, now.reports);
  return text;
}

}  // namespace sluice
