// SPDX-License-Identifier: Apache-2.0
// The commands of `sluice`. Each function adds one to the program; it runs once the command line has been
// read, prints to standard output, and throws sluice::Error for what the user must put right.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <sluice/detail/command_line.hpp>

namespace sluice::command {

using detail::not_empty;

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

// For a count that is not 0; of an unsigned type CLI11 takes "-1" for the largest.
inline CLI::Validator at_least_one() {
  return {[](const std::string& text) {
            const bool number = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
            if (number && text.find_first_not_of('0') != std::string::npos) return std::string{};
            return "Value " + text + " not in range 1 to " +
                   std::to_string(std::numeric_limits<std::uint64_t>::max());
          },
          ""};
}

// As CLI::Range, which takes "nan", since that is neither below nor above.
inline CLI::Validator seconds_between(double least, double most) {
  const CLI::Range range{least, most};
  return {[=](std::string& text) {
            double seconds = 0;
            if (CLI::detail::lexical_cast(text, seconds) && seconds >= least && seconds <= most)
              return std::string{};
            return "Value " + text + " not in range " + std::to_string(least) + " to " + std::to_string(most);
          },
          range.get_description()};
}

inline void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace sluice::command
