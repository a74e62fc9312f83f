// SPDX-License-Identifier: Apache-2.0
// A run for a terminal, in at most 80 columns. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "compare.hpp"
#include "report.hpp"
#include "targets.hpp"

namespace sluice::bench {

inline constexpr std::size_t kColumns = 80;

// Escapes for colours if asked for: ours in bold, ratios in green or red when they are off by more than 3 %.
std::string results_table(const Report& report, bool colours);

std::string targets_table(const std::vector<TargetRow>& rows, bool colours);

// Every figure that counts, and of the others those that changed beyond noise.
std::string differences_table(const Report& before, const Report& after, bool colours);

// "7 suites, 212 benchmarks, 5 of 1060 rounds disturbed by other programs (more than 5 % of the machine)."
std::string summary(const Report& report);

}  // namespace sluice::bench
