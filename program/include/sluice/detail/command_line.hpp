// SPDX-License-Identifier: Apache-2.0
// What the commands of Sluice say about a command line that they do not understand, and how they end.
//
// Called by the one thread of a command. Nothing here throws.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

namespace sluice::detail {

// Lines of at most 80 columns: what is longer goes on below where the text of its line begins.
std::string fitted(std::string_view help);

// Has the help of a program and of its commands fitted, if it is given to the program before the commands are added. `behind`
// ends the line of usage: what is taken away before the options are read.
std::shared_ptr<CLI::FormatterBase> help_formatter(std::string behind = {});
// Adds --help-all, whose page has all about the settings in front of the footer, or instead of settings_summary() at its
// beginning. Not to a program that makes its pages itself.
void add_help_all(CLI::App& app, const std::string& group);

// The innermost command that was understood: whose --help would have told.
const CLI::App& innermost(const CLI::App& program);

// What is wrong with the words behind `command`, in our words where CLI11 would not name the one that it did
// not understand.
std::string complaint(const CLI::App& command, const CLI::ParseError& error);

// For a path or a name: an empty one is most often a variable that was not set.
inline CLI::Validator not_empty() {
  return {[](const std::string& text) { return std::string{text.empty() ? "it is empty" : ""}; }, ""};
}

// Whether this process was started with "--name=" and nothing behind it. An option whose value may be left away has its default
// then, as CLI11 has it, though somebody wrote a variable there that was not set.
bool was_given_empty(std::string_view name);

// For a whole number: digits, and nothing else. CLI11 alone takes "-1" for the largest of an unsigned type, and reads "010"
// as 8; behind this check it is 10.
CLI::Validator count_between(std::uint64_t least,
                             std::uint64_t most = std::numeric_limits<std::int64_t>::max());
inline CLI::Validator at_least_one() {
  return count_between(1);
}

// For a number, with a fraction or not, written in decimal. Behind CLI::Range "nan" is in every range, since it is neither
// below nor above.
CLI::Validator number_between(double least, double most);

// Prints `what` to stderr, and whose --help tells more.
void print_misuse(const CLI::App& command, const std::string& what);

// Writes what is left of standard output, and says on stderr if that cannot be done: a full disk or a closed
// pipe shows only when the last bytes leave. True if everything has left.
bool flush_output();

}  // namespace sluice::detail
