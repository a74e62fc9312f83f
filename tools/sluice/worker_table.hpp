// SPDX-License-Identifier: Apache-2.0
// The tables of a pipeline's workers and of latencies, for a terminal of 80 columns. Pure.
#pragma once

#include <string>

#include <sluice/stats.hpp>

#include "observer/rates.hpp"

namespace sluice::command {

// A line for each worker, and one more for the last death of those that have died.
std::string worker_table(const Stats& stats, const detail::Rates& rates);

// Two lines for each stage, or each worker, of which events were timed; empty if there is none.
std::string latency_table(const Stats& stats, bool of_workers);

}  // namespace sluice::command
