// SPDX-License-Identifier: Apache-2.0
#include "market/drill.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <optional>

#include <fmt/format.h>

namespace market {
namespace {

std::chrono::nanoseconds now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

double milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

std::string distribution(std::string_view what, std::vector<std::chrono::nanoseconds> times) {
  if (times.empty()) return "";
  std::sort(times.begin(), times.end());
  const auto at = [&times](double share) {
    return milliseconds(
        times[static_cast<std::size_t>(std::lround(share * static_cast<double>(times.size() - 1)))]);
  };
  return fmt::format("{:<37} min {:.3f}  p50 {:.3f}  p90 {:.3f}  p99 {:.3f}  max {:.3f} ms  ({} of them)\n",
                     what, at(0), at(0.5), at(0.9), at(0.99), at(1), times.size());
}

// The life of the worker that began after it was hit.
std::optional<sluice::LifeStats> next_life(const sluice::Stats& stats, const std::string& worker,
                                           std::chrono::nanoseconds hit_at) {
  for (const sluice::StageStats& stage : stats.stages) {
    for (const sluice::WorkerStats& entry : stage.workers) {
      if (entry.name != worker) continue;
      for (const sluice::LifeStats& life : entry.lives) {
        if (life.born > hit_at) return life;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

Drill::Drill(sluice::Engine& engine, const DrillOptions& options)
    : engine_{engine}, options_{options}, random_{options.seed} {}

void Drill::schedule() {
  std::exponential_distribution<double> wait{1.0 / static_cast<double>(options_.kill_every.count())};
  next_ = now() + std::chrono::nanoseconds{static_cast<std::int64_t>(wait(random_))};
}

void Drill::tick() {
  if (complete()) return;
  if (next_.count() == 0) schedule();
  if (now() < next_) return;
  schedule();
  if (kills_.size() < options_.kills) {
    const Hit kill = hit(SIGKILL);
    if (kill.done) kills_.push_back(kill);
  } else {
    stalled_ = hit(SIGUSR2);  // The engine's drill: the worker hangs in whatever it does.
  }
}

// A random worker of one of the stages that were hit least.
Drill::Hit Drill::hit(int signal) {
  const sluice::Stats stats = engine_.stats();
  std::vector<const sluice::WorkerStats*> candidates;
  std::uint64_t fewest = ~std::uint64_t{0};
  for (const sluice::StageStats& stage : stats.stages) {
    for (const sluice::WorkerStats& worker : stage.workers) {
      if (worker.finished || worker.pid == 0) continue;
      const auto found = hits_of_stage_.find(stage.name);
      const std::uint64_t hits = found == hits_of_stage_.end() ? 0 : found->second;
      if (hits < fewest) candidates.clear();
      fewest = std::min(fewest, hits);
      if (hits == fewest) candidates.push_back(&worker);
    }
  }
  if (candidates.empty()) return {};
  const sluice::WorkerStats& chosen = *candidates[random_() % candidates.size()];
  Hit hit{chosen.name, now(), false};
  hit.done = engine_.signal_worker(chosen.name, signal);
  if (hit.done) ++hits_of_stage_[chosen.name.substr(0, chosen.name.find('/'))];
  return hit;
}

std::string Drill::report(const sluice::Stats& stats) const {
  std::string text;
  std::vector<std::chrono::nanoseconds> to_ready;
  std::vector<std::chrono::nanoseconds> to_event;
  std::vector<std::chrono::nanoseconds> noticed;
  for (const Hit& kill : kills_) {
    const auto life = next_life(stats, kill.worker, kill.at);
    if (!life || life->ready.count() == 0) continue;
    to_ready.push_back(life->ready - kill.at);
    noticed.push_back(life->predecessor_dead - kill.at);
    // Without input waiting, the first event says when input came and not how fast the replacement was.
    if (life->input_at_ready && life->first_event.count() != 0)
      to_event.push_back(life->first_event - kill.at);
  }
  if (options_.kills != 0) {
    text += fmt::format("killed {} workers of {} asked for, in {} of {} stages, seed {}\n", kills_.size(),
                        options_.kills, hits_of_stage_.size(), stats.stages.size(), options_.seed);
    text += distribution("killed to noticed by the master:", noticed);
    text += distribution("killed to replacement at work:", to_ready);
    text += distribution("killed to first event (input waited):", to_event);
  }
  if (options_.stall && stalled_.done) {
    const auto life = next_life(stats, stalled_.worker, stalled_.at);
    text += life ? fmt::format("made {} hang: its replacement was at work after {:.0f} ms\n", stalled_.worker,
                               milliseconds(life->ready - stalled_.at))
                 : fmt::format("made {} hang: it was not replaced\n", stalled_.worker);
  } else if (options_.stall) {
    text += "made no worker hang: the run was over before\n";
  }
  return text;
}

}  // namespace market
