// SPDX-License-Identifier: Apache-2.0
// What Sluice wants to reach, beside what a run has measured. Pure functions.
//
// A target is a ratio, or a difference, of medians within one run: it holds or falls short, or was not
// measured, and then it says why. It is no test: machines differ.
#pragma once

#include <string>
#include <vector>

#include "report.hpp"

namespace sluice::bench {

enum class Verdict { holds, falls_short, not_measured };

std::string_view name_of(Verdict verdict) noexcept;

struct TargetRow {
  int number = 0;        // Of the target that it belongs to.
  std::string what;      // "one way, 64 B, single"
  std::string target;    // "at least 1.20 of the best peer"
  std::string measured;  // "1.31 (209 M/s against boost_spsc 160 M/s)"; empty if not measured.
  Verdict verdict = Verdict::not_measured;
  std::string why;         // If not measured.
  bool disturbed = false;  // More than half of the rounds behind it were.
};

inline constexpr int kTargets = 10;

// "Lane, one way, against the best peer".
std::string_view title_of_target(int number) noexcept;

// All rows, target by target.
std::vector<TargetRow> targets(const Report& report);

}  // namespace sluice::bench
