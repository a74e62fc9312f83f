// SPDX-License-Identifier: Apache-2.0
#include "sluice/stats.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "layout/control_plane.hpp"
#include "observer/stage_table.hpp"

namespace sluice {

namespace {

// Rounded, for people.
std::string size_text(std::uint64_t bytes) {
  constexpr double kMib = 1 << 20U;
  const double mib = static_cast<double>(bytes) / kMib;
  if (mib >= 1024) return fmt::format("{:.4g} GiB", mib / 1024);
  return fmt::format("{:.3g} MiB", mib);
}

constexpr std::size_t kWidth = 80;

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
  if (!worker.place_refused.empty())
    text += fmt::format(" (it stays there: {})", printable(worker.place_refused));
  return text + "\n";
}

// Below a stage's line.
std::string remarks_on(const StageStats& stage, const std::string& reports) {
  std::string text;
  for (const WorkerStats& worker : stage.workers) {
    text += place_text(worker);
    if (worker.lag) text += fmt::format("{:<12} {}: {}\n", "", worker.name, to_text(*worker.lag));
    if (worker.outside.empty()) continue;
    text += fmt::format("{:<12} {} waits outside since {} s: {}\n", "", worker.name,
                        std::chrono::duration_cast<std::chrono::seconds>(worker.outside_for).count(),
                        printable(worker.outside));
  }
  if (stage.dead_letters() != 0)
    text += fmt::format("{:<12} {} dead letter{}: sluice dead list {}\n", "", stage.dead_letters(),
                        stage.dead_letters() == 1 ? "" : "s", printable(reports));
  return text;
}

// Below the table.
std::string remarks_on(const Stats& now) {
  std::string text;
  if (now.pages_elsewhere != 0) {
    text += fmt::format("{} of {} pages looked at {} on another node than asked for\n", now.pages_elsewhere,
                        now.pages_looked_at, now.pages_elsewhere == 1 ? "is" : "are");
  }
  if (!now.facts.empty()) text.append(detail::facts_text(now.facts)).append("\n");
  const std::string memory = to_text(now.memory);
  if (!memory.empty()) text.append(memory).append("\n");
  const std::string checkpoints = to_text(now.checkpoints);
  if (!checkpoints.empty()) text.append(checkpoints).append("\n");
  if (now.reports_lost != 0)
    text += fmt::format("{} could not be written into {}\n", detail::counted(now.reports_lost, "report"),
                        printable(now.reports));
  return text;
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

std::optional<LagStats> Stats::lag() const noexcept {
  std::optional<LagStats> sum;
  for (const StageStats& stage : stages) {
    for (const WorkerStats& worker : stage.workers) {
      if (!worker.lag) continue;
      if (!sum) sum = LagStats{.told = worker.lag->told};
      sum->events += worker.lag->events;
      sum->bytes += worker.lag->bytes;
      sum->told = std::min(sum->told, worker.lag->told);
    }
  }
  return sum;
}

double StageStats::occupancy() const noexcept {
  double most = 0;
  for (const WorkerStats& worker : workers)
    most = std::max(most, worker.occupancy);
  return most;
}

std::string to_text(const LagStats& lag) {
  constexpr std::chrono::seconds kOfNow{2};
  std::string text = fmt::format("{} event{} behind", lag.events, lag.events == 1 ? "" : "s");
  if (lag.events == 0) return text;
  text += fmt::format(", about {}", size_text(lag.bytes));
  const std::chrono::nanoseconds age = std::chrono::system_clock::now() - lag.told;
  return age < kOfNow ? text : text + fmt::format(", {} ago", detail::time_text(age));
}

std::string to_text(const CheckpointStats& checkpoints) {
  if (!checkpoints.wanted) return {};
  std::string text = fmt::format("checkpoints: {}", checkpoints.written);
  if (checkpoints.at) {
    const std::chrono::nanoseconds age = std::chrono::system_clock::now() - *checkpoints.at;
    text += fmt::format(", last {} ago, {}, pause {}, at most {}",
                        detail::time_text(std::max(age, std::chrono::nanoseconds{0})),
                        size_text(checkpoints.bytes), detail::time_text(checkpoints.pause),
                        detail::time_text(checkpoints.longest_pause));
  }
  if (checkpoints.failures == 0) return text;
  const std::string failures = fmt::format("{} not made", checkpoints.failures);
  text += (text.size() + failures.size() + 2 > kWidth ? "\n  " : "; ") + failures;
  if (checkpoints.failure.empty()) return text;
  return text + fmt::format("\n  none for {}: {}", detail::time_text(checkpoints.failing_for),
                            printable(checkpoints.failure));
}

std::string to_text(const MemoryStats& memory) {
  std::string text;
  const auto say = [&text](std::string_view part) {
    text.append(text.empty() ? "memory: " : "; ").append(part);
  };
  if (memory.in_pool_1g != 0) say(size_text(memory.in_pool_1g) + " in huge pages of 1GiB");
  if (memory.in_pool_2m != 0) say(size_text(memory.in_pool_2m) + " in huge pages of 2MiB");
  if (memory.collapsible != 0) {
    say(fmt::format("{} of {} put into huge pages behind the start{}", size_text(memory.collapsed),
                    size_text(memory.collapsible), memory.settled ? "" : " (under way)"));
    if (!memory.collapse_refused.empty())
      text.append(" (").append(printable(memory.collapse_refused)).append(")");
  }
  if (!memory.remark.empty()) say(printable(memory.remark));
  if (memory.locked) say("locked");
  if (memory.lock_asked && !memory.locked) {
    say("not locked");
    text.append(": ").append(memory.lock_refused.empty() ? "under way" : printable(memory.lock_refused));
  }
  if (!text.empty()) text.append("; of ").append(size_text(memory.bytes));
  return text;
}

namespace detail {

std::string time_text(std::chrono::nanoseconds time) {
  struct Unit {
    const char* name;
    double parts;  // Of the one before.
  };
  auto value = static_cast<double>(time.count());
  const char* name = "ns";
  for (const Unit& next : {Unit{"us", 1000}, {"ms", 1000}, {"s", 1000}, {"min", 60}, {"h", 60}, {"d", 24}}) {
    // What three digits would round up to 1000 belongs to the next unit.
    if (value < std::min(next.parts, 999.5)) break;
    value /= next.parts;
    name = next.name;
  }
  return fmt::format("{:.3g} {}", value, name);
}

std::string life_text(const Stats& now, std::chrono::nanoseconds at) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at - now.started).count();
  const bool lasts = now.state == name_of(RunState::running) || now.state == name_of(RunState::starting);
  return fmt::format("{}: {} {} {}:{:02}:{:02}, Sluice {}", printable(now.pipeline), now.state,
                     lasts ? "for" : "after", seconds / 3600, seconds / 60 % 60, seconds % 60,
                     printable(now.version));
}

std::string facts_text(const std::vector<Fact>& facts) {
  std::string text;
  for (const Fact& fact : facts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", printable(fact.name), printable(fact.value));
  return text;
}

std::string rate_text(double per_second) {
  if (per_second >= 1e6) return fmt::format("{:.2f} M/s", per_second / 1e6);
  if (per_second >= 1e3) return fmt::format("{:.1f} k/s", per_second / 1e3);
  return fmt::format("{:.0f} /s", per_second);
}

std::string stage_table(const Stats& now, const std::function<std::optional<double>(std::size_t)>& rate_of) {
  std::string text = fmt::format("{:<12} {:>3} {:>14} {:>10} {:>5} {:>8}  {}\n", "stage", "n", "events",
                                 "rate", "lanes", "restarts", "state");
  for (std::size_t i = 0; i < now.stages.size(); ++i) {
    const StageStats& stage = now.stages[i];
    const std::optional<double> rate = rate_of(i);
    text += fmt::format("{:<12} {:>3} {:>14} {:>10} {:>4.0f}% {:>8}  {}\n", stage.name, stage.workers.size(),
                        events_of(stage), rate ? rate_text(*rate) : "-", stage.occupancy() * 100,
                        stage.restarts(), verdicts_of(stage));
    text += remarks_on(stage, now.reports);
  }
  return text + remarks_on(now);
}

}  // namespace detail

std::string to_text(const Stats& now, const Stats& before, double seconds) {
  return detail::stage_table(now, [&](std::size_t i) -> std::optional<double> {
    if (seconds <= 0) return std::nullopt;
    const std::uint64_t earlier = i < before.stages.size() ? events_of(before.stages[i]) : 0;
    return static_cast<double>(events_of(now.stages[i]) - earlier) / seconds;
  });
}

}  // namespace sluice
