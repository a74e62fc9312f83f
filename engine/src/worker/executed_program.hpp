// SPDX-License-Identifier: Apache-2.0
// Whether this program can be executed anew to become a worker, and how that is done: sluice::executed_worker().
#pragma once

#include <string>
#include <vector>

#include <sluice/detail/graph.hpp>

#include "worker/executed_life.hpp"

namespace sluice::detail {

// In a program that somebody has started, once, by the thread that then starts engines: these are its arguments.
void remember_program(std::vector<std::string> arguments);

// Those; of a program that has remembered them.
const std::vector<std::string>& program_arguments();

// Whether it can, and the pipeline has a stage whose replacements are to be: StageOptions::hostile_input.
bool has_executed_stages(const Graph& graph);

// Throws Error where it has those and an engine of another pipeline that has some was started in this program: one function makes
// all of them, so that the replacements of one could only fail. Behind a start that is remembered.
void refuse_second_executed(const Graph& graph);
void remember_executed(const Graph& graph);

// In a process that has one thread and was forked by the master: becomes the program that `life` is told to. Every other
// descriptor but the three standard ones is closed. Returns by an Error alone, as what it was before.
[[noreturn]] void execute(const ExecutedLife& life);

}  // namespace sluice::detail
