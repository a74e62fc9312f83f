// SPDX-License-Identifier: Apache-2.0
#include "worker_table.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/printable.hpp>

#include "observer/stage_table.hpp"

namespace sluice::command {
namespace {

// In at most six characters: "99999", "123k", "4.6M".
std::string short_count(double number) {
  constexpr std::array kUnits{"k", "M", "G", "T", "P"};
  if (number < 100'000) return fmt::format("{:.0f}", number);
  std::size_t unit = 0;
  for (number /= 1000; number >= 999.5 && unit + 1 < kUnits.size(); number /= 1000)
    ++unit;
  return fmt::format("{:.{}f}{}", number, number < 9.95 ? 1 : 0, kUnits[unit]);
}

// Exact as long as that fits.
std::string events_text(std::uint64_t events) {
  return events < 10'000'000 ? std::to_string(events) : short_count(static_cast<double>(events));
}

std::string percent(std::optional<double> share) {
  return share ? fmt::format("{:.0f}%", *share * 100) : "-";
}

std::string memory_text(const WorkerStats& worker) {
  if (!worker.usage) return "-";
  const double mib = static_cast<double>(worker.usage->own_bytes) / (1 << 20);
  return mib < 99.95    ? fmt::format("{:.1f}M", mib)
         : mib < 9999.5 ? fmt::format("{:.0f}M", mib)
                        : fmt::format("{:.0f}G", mib / 1024);
}

// What waits in the lanes before it: events, or bytes where they are not counted.
std::string queued_text(const WorkerStats& worker, const std::vector<LaneStats>& lanes) {
  double events = 0;
  double bytes = 0;
  bool counted = true;
  bool any = false;
  for (const LaneStats& lane : lanes) {
    if (lane.to != worker.name) continue;
    any = true;
    bytes += static_cast<double>(lane.bytes);
    counted = counted && lane.events.has_value();
    events += static_cast<double>(lane.events.value_or(0));
  }
  if (!any) return "-";
  return counted ? short_count(events) : short_count(bytes) + "B";
}

// What a worker does: over the window, or since the pipeline began where there was one look only.
detail::WorkerRates since_the_start(const WorkerStats& worker, std::chrono::nanoseconds up,
                                    std::chrono::nanoseconds now) {
  const auto share = [](std::chrono::nanoseconds part, std::chrono::nanoseconds of) {
    return of.count() <= 0
               ? 0
               : std::min(1.0, static_cast<double>(part.count()) / static_cast<double>(of.count()));
  };
  const double seconds = std::max(1e-9, std::chrono::duration<double>(up).count());
  detail::WorkerRates rates;
  rates.in_per_second = static_cast<double>(worker.events_in) / seconds;
  rates.out_per_second = static_cast<double>(worker.events_out) / seconds;
  rates.busy = share(worker.time.busy, worker.time.watched);
  rates.waiting = share(worker.time.waiting, worker.time.watched);
  rates.full = share(worker.time.full, worker.time.watched);
  // Of this process alone: the kernel knows no other.
  if (worker.usage && !worker.lives.empty()) {
    const double life = std::chrono::duration<double>(now - worker.lives.back().born).count();
    if (life > 0) rates.cpu = std::chrono::duration<double>(worker.usage->cpu_time).count() / life;
  }
  return rates;
}

// What stands in the columns; the first is set to the left, and the last, behind two blanks, may be a sentence.
using WorkerRow = std::array<std::string, 11>;

WorkerRow worker_heading() {
  return {"worker", "pid", "events", "rate", "busy", "wait", "full", "cpu", "queued", "mem", "state"};
}

WorkerRow row_of(const WorkerStats& worker, bool source, const detail::WorkerRates& rates,
                 const std::vector<LaneStats>& lanes) {
  return {worker.name,
          std::to_string(worker.pid),
          events_text(source ? worker.events_out : worker.events_in),
          detail::rate_text(source ? rates.out_per_second : rates.in_per_second),
          percent(rates.busy),
          percent(rates.waiting),
          percent(rates.full),
          percent(worker.usage ? std::optional{rates.cpu} : std::nullopt),
          queued_text(worker, lanes),
          memory_text(worker),
          worker.finished ? "finished" : worker.verdict};
}

// As wide as what stands in them, so that names of usual length leave room for the longest state on 80 columns; no narrower than
// numbers grow to within seconds, so that a table that is watched stands still.
class WorkerColumns {
 public:
  void widen_for(const WorkerRow& row) {
    for (std::size_t i = 0; i < widths_.size(); ++i)
      widths_[i] = std::max(widths_[i], row[i].size());
  }
  std::string line_of(const WorkerRow& row) const {
    std::string line = fmt::format("{:<{}}", row[0], widths_[0]);
    for (std::size_t i = 1; i < widths_.size(); ++i)
      line += fmt::format(" {:>{}}", row[i], widths_[i]);
    return line + "  " + row.back() + "\n";
  }
  std::size_t of_names() const { return widths_[0]; }

 private:
  std::array<std::size_t, 10> widths_{6, 5, 7, 8, 4, 4, 4, 4, 6, 4};
};

std::string death_of(const WorkerStats& worker, std::size_t indent) {
  if (worker.last_death.empty()) return {};
  std::string text = fmt::format("{:<{}} {} restart{}; the last death: {}", "", indent, worker.restarts,
                                 worker.restarts == 1 ? "" : "s", printable(worker.last_death));
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
      text.append(latency_line(stage.name, "whole", stage.end_to_end));
      continue;
    }
    for (const WorkerStats& worker : stage.workers) {
      text.append(latency_line(worker.name, "lane", worker.lane));
      text.append(latency_line(worker.name, "handler", worker.handler));
      text.append(latency_line(worker.name, "whole", worker.end_to_end));
    }
  }
  if (text.empty()) return text;
  return fmt::format("{:<13} {:<8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}\n", "latency", "in", "timed", "p50",
                     "p90", "p99", "p99.9", "max") +
         text;
}

std::string worker_table(const Snapshot& snapshot, const detail::Rates& rates, std::chrono::nanoseconds now) {
  const Stats& stats = snapshot.stats;
  std::vector<std::pair<WorkerRow, const WorkerStats*>> rows;
  WorkerColumns columns;
  for (std::size_t s = 0; s < stats.stages.size(); ++s) {
    const StageStats& stage = stats.stages[s];
    for (std::size_t w = 0; w < stage.workers.size(); ++w) {
      const WorkerStats& worker = stage.workers[w];
      const auto measured = rates.of(s, w);
      rows.emplace_back(
          row_of(worker, stage.source,
                 measured ? *measured : since_the_start(worker, now - stats.started, now), snapshot.lanes),
          &worker);
      columns.widen_for(rows.back().first);
    }
  }
  std::string text = columns.line_of(worker_heading());
  for (const auto& [row, worker] : rows)
    text.append(columns.line_of(row)).append(death_of(*worker, columns.of_names()));
  return text;
}

}  // namespace sluice::command
