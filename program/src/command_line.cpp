// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <sluice/cli.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/detail/nearest.hpp>
#include <sluice/main.hpp>
#include <sluice/printable.hpp>

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

// The option as it was written, and the one that was probably meant.
std::string unknown_option(const CLI::App& command, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& each : option->get_lnames())
      names.push_back("--" + each);
  }
  const std::string near = nearest(name, names);
  return near.empty() ? name : name + "; did you mean " + near + "?";
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
  const auto option = std::find_if(unknown.begin(), unknown.end(),
                                   [](const std::string& word) { return word.starts_with('-'); });
  if (option != unknown.end()) return "there is no option " + unknown_option(command, *option);
  const std::string& word = unknown.front();
  if (commands_of(command).empty()) return "unexpected \"" + word + "\"";
  return "there is no command \"" + word + "\", only " + commands_of(command);
}

void print_misuse(const CLI::App& command, const std::string& what) {
  std::fprintf(stderr, "sluice: %s\nTry \"%s --help\".\n", printable(what).c_str(),
               full_name(command).c_str());
}

bool flush_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  std::fputs("sluice: cannot write to standard output\n", stderr);
  return false;
}

}  // namespace sluice::detail

namespace sluice {

int end_of_parse(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {
    app.exit(error);
    return kExitOk;
  }
  const std::string what = printable(detail::complaint(app, error));
  std::fprintf(stderr, "error: %s\n--help lists the options\n", what.c_str());
  return kExitUsage;
}

int flushed(int status) {
  return detail::flush_output() || status != kExitOk ? status : kExitFailed;
}

}  // namespace sluice
