// The `sluice` command. Exit status: 0 done, 1 it could not be done, 2 the command line or a setting is
// wrong.

#include <cstdio>
#include <exception>
#include <string>

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

int misused(const CLI::App& program, const std::string& what) {
  const std::string name = full_name(innermost(program));
  std::fprintf(stderr, "sluice: %s\nTry \"%s --help\".\n", what.c_str(), name.c_str());
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
    if (error.get_exit_code() != 0) return misused(program, error.what());
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
