// SPDX-License-Identifier: Apache-2.0
// A program's own pipeline, for a plan: the program is run up to where it makes its Engine, which hands the pipeline out
// and does not start (engine/src/host/plan_answer.hpp).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <sluice/pinning/request.hpp>

namespace sluice::command {

// `command` is a program and its arguments. Blocks until it has answered or ended, not longer than `limit`; then it is
// ended. Throws Error, with the last that the program printed, if it has not answered.
pinning::PlanRequest request_of_program(const std::vector<std::string>& command,
                                        std::chrono::nanoseconds limit);

}  // namespace sluice::command
