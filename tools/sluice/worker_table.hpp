// SPDX-License-Identifier: Apache-2.0
// The tables of a pipeline's workers and of latencies, for a terminal of 80 columns. Pure.
#pragma once

#include <chrono>
#include <string>

#include <sluice/observer.hpp>
#include <sluice/stats.hpp>

#include "observer/rates.hpp"

namespace sluice::command {

// A line for each worker, and one more for the last death of those that have died. Rates and shares of time are those of
// the window, or since the start where there are none. `now`: on CLOCK_MONOTONIC.
std::string worker_table(const Snapshot& snapshot, const detail::Rates& rates, std::chrono::nanoseconds now);

// Three lines for each stage, or each worker, of which events were timed; empty if there is none.
std::string latency_table(const Stats& stats, bool of_workers);

}  // namespace sluice::command
