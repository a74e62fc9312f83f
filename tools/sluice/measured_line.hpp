// SPDX-License-Identifier: Apache-2.0
// What `sluice stats --measured` prints: the line of a profile that has the next plan go by what a pipeline has done.
#pragma once

#include <chrono>
#include <string>

#include <sluice/stats.hpp>

namespace sluice::command {

// "placement.measured = parse@1.7 read>parse@2e6", the means since its start, behind a remark that says so. `now`: on
// CLOCK_MONOTONIC. Without a load or a rate where none is to be had: a flow of several that leave and reach the same stages.
std::string measured_line(const Stats& stats, std::chrono::nanoseconds now);

}  // namespace sluice::command
