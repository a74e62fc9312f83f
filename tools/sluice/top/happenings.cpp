// SPDX-License-Identifier: Apache-2.0
#include "top/happenings.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/counted.hpp>
#include <sluice/printable.hpp>

namespace sluice::command {
namespace {

using std::chrono::nanoseconds;

// A death has two times: when it was noticed, and when its report was written.
constexpr std::chrono::seconds kSameDeath{2};

// What utc_text() writes.
std::optional<WallTime> time_of(std::string_view text) {
  const std::string whole{text};
  std::tm parts{};
  int used = 0;
  double seconds = 0;
  if (std::sscanf(whole.c_str(), "%4d-%2d-%2dT%2d:%2d:%lfZ%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                  &parts.tm_hour, &parts.tm_min, &seconds, &used) != 6 ||
      used != static_cast<int>(whole.size()) || !(seconds >= 0 && seconds < 61)) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const std::time_t minutes = ::timegm(&parts);
  if (minutes < 0) return std::nullopt;
  return std::chrono::system_clock::from_time_t(minutes) +
         std::chrono::duration_cast<WallTime::duration>(std::chrono::duration<double>(seconds));
}

std::string words_of_death(const ReportLine& report) {
  std::string text =
      death_text(report.text("cause"), static_cast<int>(report.number("signal")), report.text("message"));
  if (report.number("attempts") > 0) {
    text += fmt::format("; event {}, attempt {}", printable(report.text("event")), report.number("attempts"));
  }
  return text;
}

std::string place_text(const ReportLine& report) {
  if (!report.text("what").empty())
    return fmt::format("its {}: {}", printable(report.text("what")), printable(report.text("error")));
  std::string text = fmt::format("found on units {} instead of {}: {}", printable(report.text("found")),
                                 printable(report.text("units")), printable(report.text("did")));
  if (!report.text("error").empty()) text += ", " + printable(report.text("error"));
  return text;
}

std::string words_of(const ReportLine& report) {
  const std::string_view kind = report.text("report");
  if (kind == "death") return "died: " + words_of_death(report);
  if (kind == "place") return place_text(report);
  if (kind == "stall") {
    return fmt::format("stalls: {} ms in one event, {} ms are allowed", report.number("own_time_ms"),
                       report.number("deadline_ms"));
  }
  if (kind == "waiting outside")
    return fmt::format("waits for the outside{}: {}",
                       report.text("draining") == "true" ? ", while draining" : "",
                       printable(report.text("outside")));
  if (kind == "observer refused")
    return fmt::format("an observer was refused: user {}, process {}", report.number("uid"),
                       report.number("pid"));
  return printable(kind);
}

}  // namespace

std::string death_text(std::string_view cause, int signal, std::string_view message) {
  std::string text = printable(cause);
  if (signal != 0) {
    const char* name = ::sigdescr_np(signal);
    text +=
        name == nullptr ? fmt::format(", signal {}", signal) : fmt::format(", signal {} ({})", signal, name);
  }
  if (!message.empty()) text += ": " + printable(message);
  return text;
}

nanoseconds last_death_of(const WorkerStats& worker) {
  nanoseconds noticed{0};
  for (const LifeStats& life : worker.lives)
    noticed = std::max(noticed, life.predecessor_dead);
  return noticed;
}

void Happenings::look(const Stats& stats, nanoseconds now, WallTime wall) {
  pipeline_ = stats.pipeline;
  started_ = wall - std::chrono::duration_cast<WallTime::duration>(now - stats.started);
  for (const StageStats& stage : stats.stages) {
    for (const WorkerStats& worker : stage.workers)
      look_at(worker, now, wall);
  }
  look_at_rest(stats, wall);
  looked_ = true;
}

void Happenings::look_at(const WorkerStats& worker, nanoseconds now, WallTime wall) {
  auto known = counted_.find(worker.name);
  if (known == counted_.end()) known = counted_.emplace(worker.name, Counted{}).first;
  Counted& counted = known->second;
  const nanoseconds noticed = last_death_of(worker);
  if (worker.restarts != counted.restarts && !worker.last_death.empty() && noticed.count() != 0) {
    counted.restarts = worker.restarts;
    const WallTime at = wall - std::chrono::duration_cast<WallTime::duration>(now - noticed);
    if (at >= started_ && !knows_death(worker.name, at)) {
      insert({.at = at,
              .worker = worker.name,
              .text = "died: " + death_text(worker.last_death, worker.last_signal, {}),
              .death = true,
              .counted = true});
    }
  }
  if (looked_ && worker.dead_letters > counted.dead_letters) {
    const std::uint64_t more = worker.dead_letters - counted.dead_letters;
    insert({.at = wall,
            .worker = worker.name,
            .text = fmt::format("{} event{} moved to the dead letters, {} so far", more, more == 1 ? "" : "s",
                                worker.dead_letters)});
  }
  counted.dead_letters = worker.dead_letters;
}

void Happenings::look_at_rest(const Stats& stats, WallTime wall) {
  const auto say = [&](std::string text, bool alarm = true) {
    if (looked_) insert({.at = wall, .worker = {}, .text = std::move(text), .alarm = alarm});
  };
  if (stats.masters > masters_) say(fmt::format("the master was replaced; this is number {}", stats.masters));
  if (stats.problem_count > problems_) {
    // Only the first ones have texts.
    const std::uint64_t texts = stats.problems.size();
    for (std::uint64_t i = problems_; i < std::min(texts, stats.problem_count); ++i)
      say("problem: " + printable(stats.problems[static_cast<std::size_t>(i)]));
    if (stats.problem_count > texts)
      say(detail::counted(stats.problem_count, "problem", "was", "were") + " reported");
  }
  if (stats.reports_lost > reports_lost_)
    say(fmt::format("{} could not be written into {}", detail::counted(stats.reports_lost, "report"),
                    printable(stats.reports)));
  if (stats.checkpoints.failures > checkpoints_failed_)
    say(fmt::format("a checkpoint was not made; {} so far", stats.checkpoints.failures));
  if (stats.state != state_) say("the pipeline: " + printable(stats.state), stats.state == "failed");
  masters_ = stats.masters;
  problems_ = stats.problem_count;
  reports_lost_ = stats.reports_lost;
  checkpoints_failed_ = stats.checkpoints.failures;
  state_ = stats.state;
}

void Happenings::add(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    if (const std::optional<ReportLine> report = ReportLine::read(line)) add_report(*report);
  }
}

void Happenings::add_report(const ReportLine& report) {
  const std::optional<WallTime> at = time_of(report.text("time"));
  // The start is known to some milliseconds by two clocks.
  if (!at || *at < started_ - std::chrono::seconds{1} || report.text("pipeline") != pipeline_) return;
  Happening happening{.at = *at,
                      .worker = printable(report.text("worker")),
                      .text = words_of(report),
                      .alarm = report.text("did") != "put back",
                      .death = report.text("report") == "death"};
  if (happening.death) {
    std::erase_if(all_, [&](const Happening& other) {
      return other.counted && other.worker == happening.worker &&
             std::chrono::abs(other.at - happening.at) < kSameDeath;
    });
  }
  insert(std::move(happening));
}

void Happenings::insert(Happening happening) {
  const auto behind = std::upper_bound(all_.begin(), all_.end(), happening.at,
                                       [](WallTime at, const Happening& other) { return at < other.at; });
  all_.insert(behind, std::move(happening));
  if (all_.size() > kMost) all_.pop_front();
}

bool Happenings::knows_death(std::string_view worker, WallTime at) const noexcept {
  return std::any_of(all_.begin(), all_.end(), [&](const Happening& other) {
    return other.death && other.worker == worker && std::chrono::abs(other.at - at) < kSameDeath;
  });
}

std::string_view Happenings::cause_of(std::string_view worker) const noexcept {
  const auto last = std::find_if(all_.rbegin(), all_.rend(), [&](const Happening& happening) {
    return happening.death && happening.worker == worker;
  });
  constexpr std::string_view kDied = "died: ";
  return last == all_.rend() ? std::string_view{} : std::string_view{last->text}.substr(kDied.size());
}

}  // namespace sluice::command
