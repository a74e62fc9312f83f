// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>
#include <vector>

#include <sluice/detail/command_line.hpp>

namespace sluice::detail {
namespace {

std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

std::string commands_of(const CLI::App& command) {
  std::string names;
  for (const CLI::App* each : command.get_subcommands({}))
    names += (names.empty() ? "" : ", ") + each->get_name();
  return names;
}

}  // namespace

const CLI::App& innermost(const CLI::App& program) {
  const CLI::App* command = &program;
  while (!command->get_subcommands().empty())
    command = command->get_subcommands().front();
  return *command;
}

std::string complaint(const CLI::App& command, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = command.remaining();
  if (unknown.empty()) {
    const bool lacks_command = error.get_name() == "RequiredError" && !commands_of(command).empty();
    return lacks_command ? "a command is missing: " + commands_of(command) : error.what();
  }
  const std::string& word = unknown.front();
  if (word.starts_with('-')) return "there is no option " + word;
  if (commands_of(command).empty()) return "unexpected \"" + word + "\"";
  return "there is no command \"" + word + "\", only " + commands_of(command);
}

void print_misuse(const CLI::App& command, const std::string& what) {
  std::fprintf(stderr, "sluice: %s\nTry \"%s --help\".\n", what.c_str(), full_name(command).c_str());
}

bool flush_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  std::fputs("sluice: cannot write to standard output\n", stderr);
  return false;
}

}  // namespace sluice::detail
