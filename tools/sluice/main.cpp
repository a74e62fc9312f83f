// SPDX-License-Identifier: Apache-2.0
// The `sluice` command. Exit status: 0 done, 1 it could not be done, 2 the command line or a setting is
// wrong, 3 `sluice doctor` or `sluice config lint` has warnings; `sluice chaos` ends as the program does that it runs, `bench`
// and `cluster` as the programs that they become, and `sluice plan` with 1 where the plan cannot hold.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <sluice/detail/command_line.hpp>
#include <sluice/detail/journal.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"

namespace {

constexpr int kFailed = 1;
constexpr int kMisused = 2;

int misused(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& command = sluice::detail::innermost(program);
  const std::vector<std::string> unknown = command.remaining();
  const bool lacks_dashes =
      command.get_name() == "chaos" && !unknown.empty() && !unknown.front().starts_with('-');
  sluice::detail::print_misuse(
      command, lacks_dashes
                   ? "write -- before the program: sluice chaos [OPTIONS] -- " + unknown.front() + " ..."
                   : sluice::detail::complaint(command, error));
  return kMisused;
}

// `sluice chaos OPTIONS -- PROGRAM ARGUMENTS`, `sluice dead retry|debug ... -- PROGRAM ARGUMENTS`, `sluice config lint FILE -- PROGRAM
// ARGUMENTS`, `sluice plan --pipeline PROGRAM -- ARGUMENTS`: takes them away from the command line, since their options are not ours.
std::vector<std::string> take_program(int& argc, char** argv) {
  const std::string_view command = argc < 2 ? "" : argv[1];
  const bool lints = command == "config" && argc > 2 && std::string_view{argv[2]} == "lint";
  if (command != "chaos" && command != "dead" && command != "plan" && !lints) return {};
  char** end = argv + argc;
  char** dashes = std::find_if(argv, end, [](const char* word) { return std::string_view{word} == "--"; });
  if (dashes == end) return {};
  argc = static_cast<int>(dashes - argv);
  return {dashes + 1, end};
}

// The kernel gives process 1 no default for signals: as that of a container `serve` or `stats --watch` would not hear them.
void end_by_signals_as_process_1() {
  if (::getpid() != 1) return;
  constexpr int kBySignal = 128;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP})
    std::signal(signal, [](int given) { ::_exit(kBySignal + given); });
}

int run(int argc, char** argv) {
  // Another program has its options and its help.
  if (argc > 1) sluice::command::become_program_beside(argv + 1);
  end_by_signals_as_process_1();
  const std::vector<std::string> behind_dashes = take_program(argc, argv);
  int status = 0;
  CLI::App program{"Sluice: shared-memory pipelines that survive kill -9.", "sluice"};
  program.require_subcommand(1);
  program.set_version_flag("--version", "sluice " SLUICE_VERSION, "Print the version and exit");
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.formatter(sluice::detail::help_formatter());
  sluice::command::add_new(program);
  sluice::command::add_config(program, behind_dashes, status);
  sluice::command::add_chaos(program, behind_dashes, status);
  sluice::command::add_dead(program, behind_dashes);
  sluice::command::add_deaths(program);
  sluice::command::add_plan(program, behind_dashes, status);
  sluice::command::add_stats(program);
#ifdef SLUICE_HAS_TOP
  sluice::command::add_top(program);
#endif
  sluice::command::add_ps(program);
#ifdef SLUICE_SERVES
  sluice::command::add_serve(program);
#endif
  sluice::command::add_ends(program);
  sluice::command::add_calibrate(program);
  sluice::command::add_doctor(program, status);
  sluice::command::add_completion(program);
  sluice::command::add_programs_beside(program);
  sluice::command::end_help(
      program, "\"sluice COMMAND --help\" tells more about a command.",
      {"sluice new words", "sluice stats words --watch 2", "sluice config explain lane.slots"});
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
  // What was not said is not known: a status that stands for it would be believed.
  return sluice::detail::flush_output() ? status : kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const sluice::Error& error) {
    sluice::detail::say(sluice::detail::Priority::error,
                        "sluice: " + sluice::printable_message(error.what()) + "\n");
    return kMisused;
  } catch (const std::exception& error) {
    sluice::detail::say(sluice::detail::Priority::error,
                        "sluice: " + sluice::printable_message(error.what()) + "\n");
    return kFailed;
  }
}
