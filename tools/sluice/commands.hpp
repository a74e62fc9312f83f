// SPDX-License-Identifier: Apache-2.0
// The commands of `sluice`. Each function adds one to the program; it runs once the command line has been
// read, prints to standard output, and throws sluice::Error for what the user must put right.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace sluice::command {

void add_config(CLI::App& program);
// Its program and arguments are what stands behind "--"; its exit status is that of the program.
void add_chaos(CLI::App& program, std::vector<std::string> behind_dashes, int& status);
// Its program is what stands behind "--".
void add_dead(CLI::App& program, std::vector<std::string> behind_dashes);
void add_stats(CLI::App& program);
// Its exit status is 1 if a suite did not run to its end, 130 if the run was interrupted.
void add_bench(CLI::App& program, int& status);

}  // namespace sluice::command
