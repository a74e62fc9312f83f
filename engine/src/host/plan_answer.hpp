// SPDX-License-Identifier: Apache-2.0
// A program whose plan alone is asked for hands its pipeline out instead of starting it: `sluice plan --pipeline PROGRAM`
// runs it with this variable, which holds the number of a pipe that the program has inherited.
//
// Answered is where an Engine is made, since only there the pipeline and its settings are known whole; of several
// engines of a program the first one answers.
#pragma once

#include <string_view>

#include <sluice/detail/graph.hpp>
#include <sluice/settings.hpp>

namespace sluice::detail {

// Does not begin as the variables of settings do: it is none.
inline constexpr const char* kPlanVariable = "_SLUICE_PLAN_PIPE";
// Begins the lines behind the plan that say what a start would warn of.
inline constexpr std::string_view kPlanRemark = "remark ";

// Without that variable it does nothing. With it, writes the pipeline as a plan sees it and throws Error: no process is
// started. Throws Error, too, for a pipeline that could not be started whatever the machine.
void answer_plan(const Graph& graph, const Settings& settings);

}  // namespace sluice::detail
