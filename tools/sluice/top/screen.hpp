// SPDX-License-Identifier: Apache-2.0
// What `sluice top` shows, as lines of text: pure, and the same for a terminal and for a pipe.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include <sluice/stats.hpp>

#include "observer/rates.hpp"

namespace sluice::command {

enum class TopOrder { pipeline, rate, busy, restarts };
// "pipeline", "rate", "busy", "restarts".
const char* name_of(TopOrder order) noexcept;
TopOrder next(TopOrder order) noexcept;

struct TopView {
  TopOrder order = TopOrder::pipeline;
  bool workers = true;   // Below each stage.
  std::string filter{};  // Only stages and workers whose names have it; empty: all.
};

enum class TopStyle { plain, heading, stage, alarm };

struct TopLine {
  std::string text;
  TopStyle style = TopStyle::plain;
};

struct TopScreen {
  std::vector<TopLine> head;  // Of the pipeline, ending with the headings of the table.
  std::vector<TopLine> rows;
};

// A screen that has less than this shows nothing that one could read.
inline constexpr int kTopLeastColumns = 78;
inline constexpr int kTopLeastLines = 8;

// `before`: the statistics that the bottleneck is judged against, empty for the time since the start. `now`: on
// CLOCK_MONOTONIC, when `stats` were taken.
TopScreen top_screen(const Stats& before, const Stats& stats, const detail::Rates& rates, const TopView& view,
                     std::chrono::nanoseconds now);

}  // namespace sluice::command
