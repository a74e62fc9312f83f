// SPDX-License-Identifier: Apache-2.0
#include "top/screen.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <sluice/bottleneck.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/printable.hpp>

#include "fold.hpp"
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

// As top_text() and add_latencies() write them.
constexpr std::array<std::size_t, 9> kTopFields{18, 33, 44, 49, 54, 59, 64, 71, 77};
constexpr std::array<std::size_t, 9> kLatencyFields{14, 22, 30, 38, 46, 54, 62, 70, 78};

// A name is cut where it would move the columns behind it, that of a worker before its number.
std::string fit_name(const std::string& name, std::size_t most) {
  if (name.size() <= most) return name;
  const std::size_t slash = name.rfind('/');
  std::string number;
  if (slash != std::string::npos && name.size() - slash < most) number = name.substr(slash);
  return std::string{cut_text(name, most - 1 - number.size())}.append("~").append(number);
}

std::string narrow_text(const TopRow& row, bool stage) {
  return fmt::format("{:<13} {:<9} {:>10} {:>4}", fit_name((stage ? "" : " ") + row.name, 13),
                     fit_name(row.state, 9), row.rate ? detail::rate_text(*row.rate) : "-",
                     share_text(row.shares ? std::optional{row.shares->busy} : std::nullopt));
}

std::string top_text(const TopRow& row, bool stage) {
  const auto share = [&row](double WorkerRates::*which) {
    return share_text(row.shares ? std::optional{(*row.shares).*which} : std::nullopt);
  };
  std::string text = fmt::format("{:<18} {:<14} {:>10} {:>4} {:>4} {:>4} {:>4} {:>6} {:>5}",
                                 fit_name((stage ? "" : "  ") + row.name, 18), row.state,
                                 row.rate ? detail::rate_text(*row.rate) : "-", share_text(row.occupancy),
                                 share(&WorkerRates::busy), share(&WorkerRates::waiting),
                                 share(&WorkerRates::full), row.restarts, row.dead_letters);
  return text;
}

// The row, and what is to be said of it: behind it, or where that does not fit, below.
void add_row(std::vector<TopLine>& lines, const TopRow& row, bool stage, const TopView& view) {
  const TopStyle style = stage ? TopStyle::stage : row.alarm ? TopStyle::alarm : TopStyle::plain;
  if (view.narrow) {
    lines.push_back({narrow_text(row, stage), style});
  } else {
    lines.push_back({top_text(row, stage), style, kTopFields});
  }
  if (row.remark.empty()) return;
  std::string& text = lines.back().text;
  if (view.columns == 0 || text.size() + 2 + row.remark.size() <= view.columns) {
    text.append("  ").append(row.remark);
  } else {
    lines.push_back({"    " + row.remark, row.alarm ? TopStyle::alarm : TopStyle::plain});
  }
}

std::string ago_text(std::chrono::nanoseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  constexpr std::int64_t kEnough = 120;
  if (seconds < kEnough) return fmt::format("{} s ago", seconds);
  if (seconds < kEnough * 60) return fmt::format("{} min ago", seconds / 60);
  return fmt::format("{} h ago", seconds / 3600);
}

std::string remark_of(const WorkerStats& worker, const TopSeen& seen) {
  if (!worker.outside.empty()) return "waits for " + printable(worker.outside);
  if (worker.last_death.empty()) return {};
  std::string text{seen.happenings.cause_of(worker.name)};
  if (text.empty()) text = death_text(worker.last_death, worker.last_signal, {});
  const std::chrono::nanoseconds noticed = last_death_of(worker);
  if (noticed.count() == 0 || noticed > seen.now) return fmt::format("last death: {}", text);
  return fmt::format("last death {}: {}", ago_text(seen.now - noticed), text);
}

TopRow top_row(const WorkerStats& worker, bool source, const std::optional<WorkerRates>& rates,
               const TopSeen& seen) {
  TopRow row;
  row.name = printable(worker.name);
  row.state = worker.finished ? "finished" : worker.pid == 0 ? "absent" : worker.verdict;
  if (rates) row.rate = source ? rates->out_per_second : rates->in_per_second;
  row.occupancy = worker.occupancy;
  row.shares = rates;
  row.restarts = worker.restarts;
  row.dead_letters = worker.dead_letters;
  row.remark = remark_of(worker, seen);
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

Block block_of(const TopSeen& seen, std::size_t s) {
  const StageStats& stage = seen.stats.stages[s];
  Block block;
  block.workers.reserve(stage.workers.size());
  for (std::size_t w = 0; w < stage.workers.size(); ++w)
    block.workers.push_back(top_row(stage.workers[w], stage.source, seen.rates.of(s, w), seen));
  TopRow& row = block.stage;
  row.name = printable(stage.name);
  const auto at_work = std::ranges::count_if(
      stage.workers, [](const WorkerStats& worker) { return worker.pid != 0 && !worker.finished; });
  const bool finished = std::ranges::all_of(stage.workers, &WorkerStats::finished);
  row.state = finished ? "finished" : fmt::format("{} of {}", at_work, stage.workers.size());
  row.rate = seen.rates.of(s);
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
    add_row(lines, block.stage, true, view);
    if (!view.workers) continue;
    std::ranges::stable_sort(
        block.workers, [&](const TopRow& a, const TopRow& b) { return stands_before(a, b, view.order); });
    for (const TopRow& row : block.workers)
      add_row(lines, row, false, view);
  }
  return lines;
}

// --- Latencies ---

std::string quantiles(const LatencyStats& latency) {
  std::string text;
  for (const std::chrono::nanoseconds time : {latency.p50, latency.p90, latency.p99, latency.most})
    text += fmt::format(" {:>7}", latency.count == 0 ? "-" : detail::time_text(time));
  return text;
}

// Why there is nothing; empty if there is something.
std::string no_latency_of(const StageStats& stage, const std::string& sample) {
  if (sample == "off") return "latency.sample is off";
  return stage.handler.count + stage.lane.count == 0 ? "none was timed yet" : "";
}

// Whether nothing goes from it to another stage.
bool is_last(const Stats& stats, const std::string& stage) {
  return std::none_of(stats.flows.begin(), stats.flows.end(), [&](const FlowStats& flow) {
    return flow.from == stage && std::any_of(stats.stages.begin(), stats.stages.end(),
                                             [&](const StageStats& each) { return each.name == flow.to; });
  });
}

void add_latencies(std::vector<TopLine>& lines, const TopSeen& seen, const TopView& view) {
  const auto sample_of = [&](std::size_t s) { return s < seen.samples.size() ? seen.samples[s] : "off"; };
  bool any = false;
  for (std::size_t s = 0; s < seen.stats.stages.size(); ++s)
    any = any || sample_of(s) != "off";
  if (!any) {
    lines.push_back({"latency: - (latency.sample is off; SLUICE_LATENCY_SAMPLE=100 times one in 100)"});
    return;
  }
  lines.push_back(
      {fmt::format("{:<15}{:<32}{}", "latency", "in the lane", "in the handler"), TopStyle::heading});
  constexpr const char* kColumns = "     p50     p90     p99     max";
  lines.push_back(
      {fmt::format("{:<14}{}{}", "stage", kColumns, kColumns), TopStyle::heading, kLatencyFields});
  for (std::size_t s = 0; s < seen.stats.stages.size(); ++s) {
    const StageStats& stage = seen.stats.stages[s];
    const std::string name = printable(stage.name);
    if (!view.filter.empty() && name.find(view.filter) == std::string::npos) continue;
    const std::string nothing = no_latency_of(stage, sample_of(s));
    std::string text = fmt::format("{:<14}", fit_name(name, 13));
    if (nothing.empty()) {
      text += quantiles(stage.lane) + quantiles(stage.handler);
      lines.push_back({text, TopStyle::plain, kLatencyFields});
    } else {
      lines.push_back({text.append(" - ").append(nothing)});
    }
    if (is_last(seen.stats, stage.name) && stage.end_to_end.count != 0)
      lines.push_back({fmt::format("{:<14}{} from end to end", "", quantiles(stage.end_to_end))});
  }
}

// --- What happened ---

std::string clock_text(WallTime time) {
  const std::string whole = detail::utc_text(time);  // 2026-11-26T22:50:01.414108Z
  constexpr std::size_t kClock = 11;
  constexpr std::size_t kToMilliseconds = 12;
  return whole.substr(kClock, kToMilliseconds);
}

std::vector<TopLine> top_events(const TopSeen& seen, const TopView& view) {
  std::vector<TopLine> lines{{"what happened (UTC)", TopStyle::heading}};
  const auto& all = seen.happenings.all();
  for (auto each = all.rbegin(); each != all.rend(); ++each) {
    if (!view.filter.empty() && each->worker.find(view.filter) == std::string::npos) continue;
    // What happened is to be seen behind it.
    const std::string worker =
        view.columns == 0 ? each->worker : fit_name(each->worker, std::max<std::size_t>(view.columns / 4, 8));
    lines.push_back({clock_text(each->at) + " " + worker + (worker.empty() ? "" : " ") + each->text,
                     each->alarm ? TopStyle::alarm : TopStyle::plain});
  }
  if (lines.size() == 1) lines.push_back({"nothing"});
  return lines;
}

// What `sluice stats` says of the pipeline besides: what it is a part of, how far it is behind, its checkpoints.
void add_facts(std::vector<TopLine>& lines, const Stats& stats) {
  std::string facts = detail::facts_text(stats.facts);
  if (!facts.empty()) lines.push_back({std::move(facts)});
  if (const auto lag = stats.lag()) lines.push_back({to_text(*lag)});
  const std::string checkpoints = to_text(stats.checkpoints);
  for (std::size_t at = 0; at < checkpoints.size();) {
    const std::size_t end = std::min(checkpoints.find('\n', at), checkpoints.size());
    const bool fails = !stats.checkpoints.failure.empty();
    lines.push_back({checkpoints.substr(at, end - at), fails ? TopStyle::alarm : TopStyle::plain});
    at = end + 1;
  }
}

// Folded here: what a terminal has no room for it cuts.
std::vector<TopLine> top_head(const TopSeen& seen, const TopView& view) {
  const Stats& stats = seen.stats;
  std::vector<TopLine> head{
      {detail::life_text(stats, seen.now)},
      {fmt::format("dead letters {}, problems {}; host {}, supervisor {}, master {}{}", stats.dead_letters(),
                   stats.problem_count, stats.host, stats.supervisor, stats.master,
                   stats.masters > 1 ? fmt::format(" (no. {})", stats.masters) : std::string{}),
       stats.dead_letters() + stats.problem_count > 0 ? TopStyle::alarm : TopStyle::plain},
      {printable(bottleneck_text(seen.before, stats)) +
       (seen.before.stages.empty() ? " (since the start)" : "")}};
  if (!seen.alarm.empty()) head.push_back({seen.alarm, TopStyle::alarm});
  add_facts(head, stats);
  if (!view.filter.empty()) head.push_back({"only names with \"" + printable(view.filter) + "\""});
  head = folded(head, view.columns);
  if (view.narrow) {
    head.push_back({fmt::format("{:<13} {:<9} {:>10} {:>4}", "stage/worker", "state", "rate", "busy"),
                    TopStyle::heading});
    return head;
  }
  head.push_back(
      {fmt::format("{:<18} {:<14} {:>10} {:>4} {:>4} {:>4} {:>4} {:>6} {:>5}  {}", "stage / worker", "state",
                   "rate", "lane", "busy", "wait", "full", "deaths", "dead", ""),
       TopStyle::heading, kTopFields});
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

TopScreen top_screen(const TopSeen& seen, const TopView& view) {
  std::vector<Block> blocks;
  blocks.reserve(seen.stats.stages.size());
  for (std::size_t s = 0; s < seen.stats.stages.size(); ++s)
    blocks.push_back(block_of(seen, s));
  TopScreen screen{top_head(seen, view), top_rows(std::move(blocks), view), {}};
  if (view.latency) add_latencies(screen.rows, seen, view);
  if (view.events) screen.events = top_events(seen, view);
  return screen;
}

std::vector<TopLine> folded(const std::vector<TopLine>& lines, std::size_t columns) {
  std::vector<TopLine> narrow;
  for (const TopLine& line : lines) {
    for (std::string& piece : fold(line.text, columns, line.fields))
      narrow.push_back({std::move(piece), line.style});
  }
  return narrow;
}

TopScreen folded_screen(const TopScreen& screen, std::size_t columns) {
  return {folded(screen.head, columns), folded(screen.rows, columns), folded(screen.events, columns)};
}

std::vector<TopLine> laid_out(const TopScreen& screen, std::size_t lines, std::size_t& first) {
  constexpr std::size_t kLeastForEvents = 16;
  std::vector<TopLine> shown = screen.head;
  const std::size_t room = lines - std::min(lines, shown.size());
  std::size_t events = 0;
  if (lines >= kLeastForEvents)
    events = std::min(screen.events.size(), std::max(lines / 3, room - std::min(room, screen.rows.size())));
  const std::size_t for_rows = room - std::min(room, events);
  first = std::min(first, screen.rows.size() - std::min(screen.rows.size(), for_rows));
  const std::size_t rows = std::min(screen.rows.size() - first, for_rows);
  const auto from = screen.rows.begin() + static_cast<std::ptrdiff_t>(first);
  shown.insert(shown.end(), from, from + static_cast<std::ptrdiff_t>(rows));
  const auto newest = screen.events.begin();
  shown.insert(shown.end(), newest, newest + static_cast<std::ptrdiff_t>(std::min(events, room)));
  return shown;
}

}  // namespace sluice::command
