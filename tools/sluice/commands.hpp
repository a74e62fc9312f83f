// SPDX-License-Identifier: Apache-2.0
// The commands of `sluice`. Each function adds one to the program; it runs once the command line has been
// read, prints to standard output, and throws sluice::Error for what the user must put right.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <sluice/detail/command_line.hpp>
#include <sluice/detail/completed_commands.hpp>

#include "fold.hpp"

namespace sluice::command {

using detail::at_least_one;
using detail::count_between;
using detail::not_empty;
using detail::number_between;

// Its program, for `config lint`, is what stands behind "--"; its exit status says what that has found.
void add_config(CLI::App& program, std::vector<std::string> behind_dashes, int& status);
// Its program and arguments are what stands behind "--"; its exit status is that of the program.
void add_chaos(CLI::App& program, std::vector<std::string> behind_dashes, int& status);
// Its program is what stands behind "--".
void add_dead(CLI::App& program, std::vector<std::string> behind_dashes);
void add_deaths(CLI::App& program);
void add_stats(CLI::App& program);
// Where there is ncursesw.
void add_top(CLI::App& program);
void add_ps(CLI::App& program);
// Where there is libmicrohttpd.
void add_serve(CLI::App& program);
// `plan` and `topo`; its exit status says whether the plan holds. What stands behind "--" are the arguments of the program
// whose pipeline is planned for.
void add_plan(CLI::App& program, std::vector<std::string> behind_dashes, int& status);
void add_calibrate(CLI::App& program);
// Its exit status is 3 where something on the machine should be put right.
void add_doctor(CLI::App& program, int& status);
void add_new(CLI::App& program);
// It reads the other commands when it runs.
void add_completion(CLI::App& program);
// `park` and `drain`.
void add_ends(CLI::App& program);

// `bench` and `cluster`, for the list of commands: programs of their own, sluice-bench and sluice-cluster beside this one, do
// the work.
void add_programs_beside(CLI::App& program);
// What shells complete behind them, as far as they are there and say it.
std::vector<detail::CompletedCommand> completed_beside();
// If words[0] is one of these commands this process becomes its program, with these words; ended by a null pointer.
// Throws std::system_error if it cannot be started.
void become_program_beside(char** words);

// The end of a command's help: what its options do not say, then three examples.
inline void end_help(CLI::App& command, const std::string& remarks,
                     const std::array<const char*, 3>& examples) {
  std::string text = remarks;
  text.append(text.empty() ? "" : "\n\n").append("Examples:");
  for (const char* example : examples)
    text.append("\n  ").append(example);
  command.footer(text);
}

}  // namespace sluice::command
