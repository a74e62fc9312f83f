// SPDX-License-Identifier: Apache-2.0
// The table of a pipeline's workers, for a terminal of 80 columns. Pure.
#pragma once

#include <string>

#include <sluice/stats.hpp>

#include "observer/rates.hpp"

namespace sluice::command {

// A line for each worker, and one more for the last death of those that have died.
std::string worker_table(const Stats& stats, const detail::Rates& rates);

}  // namespace sluice::command
