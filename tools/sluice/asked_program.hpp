// SPDX-License-Identifier: Apache-2.0
// A program's own pipeline, for a plan: the program is run up to where it makes its Engine, which hands the pipeline out
// and does not start (engine/src/host/plan_answer.hpp).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <sluice/pinning/request.hpp>

namespace sluice::command {

struct AskedProgram {  // What a program says of its pipeline.
  pinning::PlanRequest request;
  std::vector<std::string> remarks;  // What a start of it would warn of, a sentence each.
};

// `command` is a program and its arguments. Blocks until it has answered or ended, not longer than `limit`; then it is
// ended. Throws Error, with the last that the program printed, if it has not answered.
AskedProgram ask_program(const std::vector<std::string>& command, std::chrono::nanoseconds limit);

}  // namespace sluice::command
