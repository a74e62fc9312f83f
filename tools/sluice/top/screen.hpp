// SPDX-License-Identifier: Apache-2.0
// What `sluice top` shows, as lines of text: pure, and the same for a terminal and for a pipe.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <sluice/stats.hpp>

#include "observer/rates.hpp"
#include "top/happenings.hpp"

namespace sluice::command {

enum class TopOrder { pipeline, rate, busy, restarts };
// "pipeline", "rate", "busy", "restarts".
const char* name_of(TopOrder order) noexcept;
TopOrder next(TopOrder order) noexcept;

struct TopView {
  TopOrder order = TopOrder::pipeline;
  bool workers = true;   // Below each stage.
  bool latency = true;   // A second table, of the stages.
  bool events = true;    // What happened, at the end.
  std::string filter{};  // Only stages and workers whose names have it; empty: all.
  std::size_t columns =
      0;                // Of the terminal: what does not fit behind a line stands below it. 0: any length.
  bool narrow = false;  // Of the table only what one needs most: it fits kTopLeastColumns.
};

enum class TopStyle { plain, heading, stage, alarm };

struct TopLine {
  std::string text;
  TopStyle style = TopStyle::plain;
  std::span<const std::size_t>
      fields{};  // Of a table: the columns behind its fields, the same in each of its lines.
};

struct TopScreen {
  std::vector<TopLine> head;  // Of the pipeline, ending with the headings of the table.
  std::vector<TopLine> rows;  // The table, and that of latencies.
  std::vector<TopLine>
      events;  // What happened: a heading, then the newest first. Empty if they are not to be shown.
};

// What is known of the pipeline at one moment.
struct TopSeen {
  const Stats& before;  // The bottleneck is judged against it; empty for the time since the start.
  const Stats& stats;
  const detail::Rates& rates;
  const Happenings& happenings;
  std::vector<std::string> samples{};  // Of each stage its latency.sample: "100", "off".
  std::chrono::nanoseconds now{0};     // On CLOCK_MONOTONIC, when `stats` were taken.
  std::string alarm{};                 // What the numbers do not show; empty.
};

// The whole table needs this.
inline constexpr int kTopWholeColumns = 78;
inline constexpr int kTopWholeLines = 8;
// A screen that has less than this shows nothing that one could read.
inline constexpr int kTopLeastColumns = 40;
inline constexpr int kTopNarrowLines = 16;

TopScreen top_screen(const TopSeen& seen, const TopView& view);
// The same with its lines folded, for a view that has columns.
TopScreen folded_screen(const TopScreen& screen, std::size_t columns);

// The lines on a terminal of so many columns: what is longer goes on below, a little further in, and what stands one below the
// other in a table still does. 0: as they are.
std::vector<TopLine> folded(const std::vector<TopLine>& lines, std::size_t columns);

// What stands on a terminal of so many lines: the head, the rows from `first` on, and below them what happened, which gets what
// the rows leave, a third at least where there is room for it. `first` becomes less if there are not so many rows.
std::vector<TopLine> laid_out(const TopScreen& screen, std::size_t lines, std::size_t& first);

}  // namespace sluice::command
