// SPDX-License-Identifier: Apache-2.0
// The `sluice` command. Exit status: 0 done, 1 it could not be done, 2 the command line or a setting is
// wrong; `sluice chaos` ends as the program does that it runs.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/error.hpp>

#include "commands.hpp"

namespace {

constexpr int kFailed = 1;
constexpr int kMisused = 2;

// The innermost command that was understood: whose --help would have told.
const CLI::App& innermost(const CLI::App& program) {
  const CLI::App* command = &program;
  while (!command->get_subcommands().empty())
    command = command->get_subcommands().front();
  return *command;
}

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

// What is wrong, in our words where CLI11 would not name the word that it did not understand.
std::string complaint(const CLI::App& command, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = command.remaining();
  if (unknown.empty()) {
    const bool lacks_command = error.get_name() == "RequiredError" && !commands_of(command).empty();
    return lacks_command ? "a command is missing: " + commands_of(command) : error.what();
  }
  const std::string& word = unknown.front();
  if (command.get_name() == "chaos" && !word.starts_with('-'))
    return "write -- before the program: sluice chaos [OPTIONS] -- " + word + " ...";
  if (word.starts_with('-')) return "there is no option " + word;
  if (commands_of(command).empty()) return "unexpected \"" + word + "\"";
  return "there is no command \"" + word + "\", only " + commands_of(command);
}

int misused(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& command = innermost(program);
  std::fprintf(stderr, "sluice: %s\nTry \"%s --help\".\n", complaint(command, error).c_str(),
               full_name(command).c_str());
  return kMisused;
}

// A full disk or a closed pipe shows only when the last bytes leave.
int flushed() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  std::fputs("sluice: cannot write to standard output\n", stderr);
  return kFailed;
}

// `sluice chaos OPTIONS -- PROGRAM ARGUMENTS`, `sluice dead retry PATH -- PROGRAM ARGUMENTS`: takes the
// program away from the command line, whose options are not ours.
std::vector<std::string> take_program(int& argc, char** argv) {
  if (argc < 2 || (std::string_view{argv[1]} != "chaos" && std::string_view{argv[1]} != "dead")) return {};
  char** end = argv + argc;
  char** dashes = std::find_if(argv, end, [](const char* word) { return std::string_view{word} == "--"; });
  if (dashes == end) return {};
  argc = static_cast<int>(dashes - argv);
  return {dashes + 1, end};
}

int run(int argc, char** argv) {
  const std::vector<std::string> behind_dashes = take_program(argc, argv);
  int status = 0;
  CLI::App program{"Sluice: shared-memory pipelines that survive kill -9.", "sluice"};
  program.require_subcommand(1);
  program.set_version_flag("--version", "sluice " SLUICE_VERSION, "Print the version and exit");
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.footer("\"sluice COMMAND --help\" tells more about a command.");
  sluice::command::add_config(program);
  sluice::command::add_chaos(program, behind_dashes, status);
  sluice::command::add_dead(program, behind_dashes);
  sluice::command::add_stats(program);
  sluice::command::add_bench(program, status);
  if (argc == 1) {
    std::fputs(program.help().c_str(), stderr);
    return kMisused;
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 also leaves by an exception for --help and --version.
    if (error.get_exit_code() != 0) return misused(program, error);
    program.exit(error);
  }
  return status != 0 ? status : flushed();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const sluice::Error& error) {
    std::fprintf(stderr, "sluice: %s\n", error.what());
    return kMisused;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice: %s\n", error.what());
    return kFailed;
  }
}
