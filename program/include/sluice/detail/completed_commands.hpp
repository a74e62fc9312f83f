// SPDX-License-Identifier: Apache-2.0
// What a shell completes behind each command of a program: made of its table of commands and options, and handed from one
// program to another as lines of text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace sluice::detail {

struct CompletedCommand {
  std::string path;           // "config lint"; empty for the program itself.
  bool files = false;         // Whether the name of a file may stand behind it that is no option's.
  std::string words;          // The commands in it, and its options.
  std::string file_options;   // Those of its options behind which a file is named,
  std::string value_options;  // and those behind which another value stands.
};

// Those that stand in no help are left out.
std::vector<CompletedCommand> completed_commands(const CLI::App& program);

// A program that is a command of another one says its own when this is its only argument, a line each.
inline constexpr const char* kCompletionWords = "--completion-words";
std::string to_text(const std::vector<CompletedCommand>& commands);
// What is no such line is passed over. `name` is what the program is called within the other one.
std::vector<CompletedCommand> commands_of_text(std::string_view text, const std::string& name);

}  // namespace sluice::detail
