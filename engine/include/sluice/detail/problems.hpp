// SPDX-License-Identifier: Apache-2.0
// What handlers have reported: a piece of the recoverable state of every worker, so that a problem is told
// exactly once. Written by the worker, read by its host and by observers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <sluice/state.hpp>

namespace sluice::detail {

inline constexpr std::uint64_t kProblemsKept = 16;
inline constexpr std::size_t kProblemBytes = 240;

struct Problems {
  std::uint64_t count;
  char text[kProblemsKept][kProblemBytes];  // The first ones; each ends with a zero.
};

inline constexpr std::string_view kProblemsName = "sluice.problems";

// Counts a problem and keeps its text, up to 239 bytes, if it is among the first.
void add_problem(Recoverable<Problems>& problems, std::string_view text);

}  // namespace sluice::detail
