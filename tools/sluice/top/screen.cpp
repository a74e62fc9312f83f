// SPDX-License-Identifier: Apache-2.0
#include "top/screen.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include <sluice/bottleneck.hpp>
#include <sluice/printable.hpp>

#include "observer/stage_table.hpp"

namespace sluice::command {
namespace {

using detail::WorkerRates;

struct TopRow {
  std::string name;
  std::string state;
  std::optional<double> rate;
  double occupancy = 0;
  std::optional<WorkerRates> shares;
  std::uint32_t restarts = 0;
  std::uint64_t dead_letters = 0;
  std::string remark;
  bool alarm = false;
};

// A stage with its workers.
struct Block {
  TopRow stage;
  std::vector<TopRow> workers;
};

std::string share_text(std::optional<double> share) {
  return share ? fmt::format("{:.0f}%", std::clamp(*share, 0.0, 1.0) * 100) : "-";
}

std::string top_text(const TopRow& row, bool stage) {
  const auto share = [&row](double WorkerRates::*which) {
    return share_text(row.shares ? std::optional{(*row.shares).*which} : std::nullopt);
  };
  std::string text = fmt::format(
      "{:<18} {:<14} {:>10} {:>4} {:>4} {:>4} {:>4} {:>6} {:>5}", (stage ? "" : "  ") + row.name, row.state,
      row.rate ? detail::rate_text(*row.rate) : "-", share_text(row.occupancy), share(&WorkerRates::busy),
      share(&WorkerRates::waiting), share(&WorkerRates::full), row.restarts, row.dead_letters);
  if (!row.remark.empty()) text.append("  ").append(row.remark);
  return text;
}

std::string remark_of(const WorkerStats& worker) {
  if (!worker.outside.empty()) return "waits for " + printable(worker.outside);
  if (worker.last_death.empty()) return {};
  std::string text = "last death: " + worker.last_death;
  if (worker.last_signal != 0) text += fmt::format(", signal {}", worker.last_signal);
  return text;
}

TopRow top_row(const WorkerStats& worker, bool source, const std::optional<WorkerRates>& rates) {
  TopRow row;
  row.name = printable(worker.name);
  row.state = worker.finished ? "finished" : worker.pid == 0 ? "absent" : worker.verdict;
  if (rates) row.rate = source ? rates->out_per_second : rates->in_per_second;
  row.occupancy = worker.occupancy;
  row.shares = rates;
  row.restarts = worker.restarts;
  row.dead_letters = worker.dead_letters;
  row.remark = remark_of(worker);
  row.alarm = !worker.finished && (worker.pid == 0 || !worker.outside.empty());
  return row;
}

// The mean of what is known of its workers.
std::optional<WorkerRates> shares_of(const std::vector<TopRow>& workers) {
  WorkerRates sum;
  double known = 0;
  for (const TopRow& worker : workers) {
    if (!worker.shares) continue;
    known += 1;
    sum.busy += worker.shares->busy;
    sum.waiting += worker.shares->waiting;
    sum.full += worker.shares->full;
  }
  if (known == 0) return std::nullopt;
  sum.busy /= known;
  sum.waiting /= known;
  sum.full /= known;
  return sum;
}

Block block_of(const Stats& stats, std::size_t s, const detail::Rates& rates) {
  const StageStats& stage = stats.stages[s];
  Block block;
  block.workers.reserve(stage.workers.size());
  for (std::size_t w = 0; w < stage.workers.size(); ++w)
    block.workers.push_back(top_row(stage.workers[w], stage.source, rates.of(s, w)));
  TopRow& row = block.stage;
  row.name = printable(stage.name);
  const auto at_work = std::ranges::count_if(
      stage.workers, [](const WorkerStats& worker) { return worker.pid != 0 && !worker.finished; });
  const bool finished = std::ranges::all_of(stage.workers, &WorkerStats::finished);
  row.state = finished ? "finished" : fmt::format("{} of {}", at_work, stage.workers.size());
  row.rate = rates.of(s);
  row.occupancy = stage.occupancy();
  row.shares = shares_of(block.workers);
  row.restarts = stage.restarts();
  row.dead_letters = stage.dead_letters();
  return block;
}

bool stands_before(const TopRow& a, const TopRow& b, TopOrder order) {
  const auto busy = [](const TopRow& row) { return row.shares ? row.shares->busy : 0; };
  switch (order) {
    case TopOrder::pipeline:
      return false;
    case TopOrder::rate:
      return a.rate.value_or(0) > b.rate.value_or(0);
    case TopOrder::busy:
      return busy(a) > busy(b);
    case TopOrder::restarts:
      return a.restarts > b.restarts;
  }
  return false;
}

bool shown(const TopRow& row, const TopView& view) {
  return view.filter.empty() || row.name.find(view.filter) != std::string::npos;
}

std::vector<TopLine> top_rows(std::vector<Block> blocks, const TopView& view) {
  std::ranges::stable_sort(
      blocks, [&](const Block& a, const Block& b) { return stands_before(a.stage, b.stage, view.order); });
  std::vector<TopLine> lines;
  for (Block& block : blocks) {
    std::erase_if(block.workers, [&](const TopRow& row) { return !shown(row, view); });
    if (!shown(block.stage, view) && block.workers.empty()) continue;
    lines.push_back({top_text(block.stage, true), TopStyle::stage});
    if (!view.workers) continue;
    std::ranges::stable_sort(
        block.workers, [&](const TopRow& a, const TopRow& b) { return stands_before(a, b, view.order); });
    for (const TopRow& row : block.workers)
      lines.push_back({top_text(row, false), row.alarm ? TopStyle::alarm : TopStyle::plain});
  }
  return lines;
}

std::vector<TopLine> top_head(const Stats& since, const Stats& stats, const TopView& view,
                              std::chrono::nanoseconds now) {
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(now - stats.started).count();
  std::vector<TopLine> head{
      {fmt::format("{}: {} for {}:{:02}:{:02}, Sluice {}", printable(stats.pipeline), stats.state, up / 3600,
                   up / 60 % 60, up % 60, printable(stats.version))},
      {fmt::format("host {}, supervisor {}, master {} (number {}); {} dead letters, {} problems", stats.host,
                   stats.supervisor, stats.master, stats.masters, stats.dead_letters(), stats.problem_count),
       stats.dead_letters() + stats.problem_count > 0 ? TopStyle::alarm : TopStyle::plain},
      {printable(bottleneck_text(since, stats)) + (since.stages.empty() ? " (since the start)" : "")}};
  if (!view.filter.empty()) head.push_back({"only names with \"" + printable(view.filter) + "\""});
  head.push_back(
      {fmt::format("{:<18} {:<14} {:>10} {:>4} {:>4} {:>4} {:>4} {:>6} {:>5}  {}", "stage / worker", "state",
                   "rate", "lane", "busy", "wait", "full", "deaths", "dead", ""),
       TopStyle::heading});
  head.back().text.resize(head.back().text.find_last_not_of(' ') + 1);
  return head;
}

constexpr std::array<const char*, 4> kOrders{"pipeline", "rate", "busy", "restarts"};

}  // namespace

const char* name_of(TopOrder order) noexcept {
  return kOrders.at(static_cast<std::size_t>(order));
}

TopOrder next(TopOrder order) noexcept {
  return static_cast<TopOrder>((static_cast<std::size_t>(order) + 1) % kOrders.size());
}

TopScreen top_screen(const Stats& before, const Stats& stats, const detail::Rates& rates, const TopView& view,
                     std::chrono::nanoseconds now) {
  std::vector<Block> blocks;
  blocks.reserve(stats.stages.size());
  for (std::size_t s = 0; s < stats.stages.size(); ++s)
    blocks.push_back(block_of(stats, s, rates));
  return {top_head(before, stats, view, now), top_rows(std::move(blocks), view)};
}

}  // namespace sluice::command
