// SPDX-License-Identifier: Apache-2.0
// Loose ends: outputs of a pipeline that lead nowhere. What is pushed there is dropped, which may be meant and mostly is not.
//
// Pure. Said at each start, by run_inline, and by `sluice config lint`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sluice/detail/graph.hpp>

namespace sluice::detail {

// What the log calls the line about one.
inline constexpr std::string_view kLooseEnd = "loose end";

// A sentence for each output of an inlet, a source or a stage that no stage and no outlet is connected to, in the order of
// the graph: which it is, what it carries, and what to do.
std::vector<std::string> loose_ends(const Graph& graph);

}  // namespace sluice::detail
