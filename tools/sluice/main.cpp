// The `sluice` command. Exit status: 0 done, 1 it could not be done, 2 the command line or a setting is
// wrong.

#include <cstdio>
#include <exception>
#include <string>
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

int run(int argc, char** argv) {
  CLI::App program{"Sluice: shared-memory pipelines that survive kill -9.", "sluice"};
  program.require_subcommand(1);
  program.set_version_flag("--version", "sluice " SLUICE_VERSION, "Print the version and exit");
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.footer("\"sluice COMMAND --help\" tells more about a command.");
  sluice::command::add_config(program);
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
  return flushed();
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
