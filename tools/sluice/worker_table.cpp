// SPDX-License-Identifier: Apache-2.0
#include "worker_table.hpp"

#include <fmt/format.h>

#include "observer/stage_table.hpp"

namespace sluice::command {
namespace {

std::string percent(std::optional<double> share) {
  return share ? fmt::format("{:.0f}%", *share * 100) : "-";
}

std::string memory_text(const WorkerStats& worker) {
  return worker.usage ? fmt::format("{:.1f}M", static_cast<double>(worker.usage->own_bytes) / (1 << 20))
                      : "-";
}

std::string line_of(const WorkerStats& worker, bool source, const std::optional<detail::WorkerRates>& rates) {
  const auto share = [&](double detail::WorkerRates::*which) {
    return percent(rates ? std::optional{(*rates).*which} : std::nullopt);
  };
  std::string rate = "-";
  if (rates) rate = detail::rate_text(source ? rates->out_per_second : rates->in_per_second);
  return fmt::format("{:<13} {:>7} {:>5} {:>12} {:>9} {:>4} {:>4} {:>4} {:>7}  {}\n", worker.name, worker.pid,
                     worker.place, source ? worker.events_out : worker.events_in, rate,
                     share(&detail::WorkerRates::busy), share(&detail::WorkerRates::waiting),
                     share(&detail::WorkerRates::full), memory_text(worker),
                     worker.finished ? "finished" : worker.verdict);
}

std::string death_of(const WorkerStats& worker) {
  if (worker.last_death.empty()) return {};
  std::string text = fmt::format("{:<13} {} restart{}; the last death: {}", "", worker.restarts,
                                 worker.restarts == 1 ? "" : "s", worker.last_death);
  if (worker.last_signal != 0) text += fmt::format(", signal {}", worker.last_signal);
  return text + "\n";
}

std::string latency_line(const std::string& name, const char* where, const LatencyStats& latency) {
  using detail::time_text;
  if (latency.count == 0) return {};
  return fmt::format("{:<13} {:<8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}\n", name, where, latency.count,
                     time_text(latency.p50), time_text(latency.p90), time_text(latency.p99),
                     time_text(latency.p999), time_text(latency.most));
}

}  // namespace

std::string latency_table(const Stats& stats, bool of_workers) {
  std::string text;
  for (const StageStats& stage : stats.stages) {
    if (!of_workers) {
      text.append(latency_line(stage.name, "lane", stage.lane));
      text.append(latency_line(stage.name, "handler", stage.handler));
      continue;
    }
    for (const WorkerStats& worker : stage.workers) {
      text.append(latency_line(worker.name, "lane", worker.lane));
      text.append(latency_line(worker.name, "handler", worker.handler));
    }
  }
  if (text.empty()) return text;
  return fmt::format("{:<13} {:<8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}\n", "latency", "in", "timed", "p50",
                     "p90", "p99", "p99.9", "max") +
         text;
}

std::string worker_table(const Stats& stats, const detail::Rates& rates) {
  std::string text = fmt::format("{:<13} {:>7} {:>5} {:>12} {:>9} {:>4} {:>4} {:>4} {:>7}  {}\n", "worker",
                                 "pid", "place", "events", "rate", "busy", "wait", "full", "memory", "state");
  for (std::size_t s = 0; s < stats.stages.size(); ++s) {
    const StageStats& stage = stats.stages[s];
    for (std::size_t w = 0; w < stage.workers.size(); ++w) {
      text += line_of(stage.workers[w], stage.source, rates.of(s, w));
      text += death_of(stage.workers[w]);
    }
  }
  return text;
}

}  // namespace sluice::command
