// SPDX-License-Identifier: Apache-2.0
// The statistics of a pipeline as JSON, for programs: docs/reference/stats.md describes every member.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sluice/observer.hpp>

#include "observer/rates.hpp"

namespace sluice::detail {

// Raised when a member goes away or means something else; a new member does not raise it.
inline constexpr int kStatsSchema = 1;

// One object in one line, without a line end. `before` is where the window of the rates began, or empty; `now` is the time
// of the snapshot on CLOCK_MONOTONIC; what `rates` has nothing of is null. `master_stopped`: what the kernel says of that process,
// where it was asked. Pure but for the time of day.
std::string to_json(const Snapshot& snapshot, const Stats& before, const Rates& rates,
                    const std::vector<SettingValue>& settings, std::chrono::nanoseconds now,
                    std::optional<bool> master_stopped = std::nullopt);

}  // namespace sluice::detail
