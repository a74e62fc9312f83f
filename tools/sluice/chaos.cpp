// SPDX-License-Identifier: Apache-2.0
// `sluice chaos`: runs a program again and again while its pipeline is hurt, and tells whether it minded.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/chaos.hpp>
#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "chaos_runs.hpp"
#include "commands.hpp"

namespace sluice::command {
namespace {

// As it was typed, so that a mistake is told in the user's words.
struct ChaosSaid {
  std::string lasting = "1min";
  std::string patience = "5min";
  std::string kill;
  std::string stall;
  std::string stop;
  std::string seed;
  bool endless = false;
};

std::chrono::nanoseconds duration_of(const char* option, const std::string& text) {
  const Parsed<std::chrono::nanoseconds> duration = parse_duration(text);
  if (duration.ok()) return duration.value;
  throw Error{
      {fmt::format("read the duration '{}' of", text), option, duration.fault, "for example 60s or 5min"}};
}

ChaosOptions chaos_of(const ChaosSaid& said) {
  const bool named = !said.kill.empty() || !said.stall.empty() || !said.stop.empty();
  ChaosOptions options = named ? no_chaos() : default_chaos();
  if (!said.kill.empty()) set_chaos(options, "kill", said.kill);
  if (!said.stall.empty()) set_chaos(options, "stall", said.stall);
  if (!said.stop.empty()) set_chaos(options, "stop", said.stop);
  if (!said.seed.empty()) set_chaos(options, "seed", said.seed);
  return options;
}

ChaosPlan plan_of(const ChaosSaid& said, const std::vector<std::string>& program) {
  if (program.empty()) {
    throw Error{{"start", "the program", "there is none behind --",
                 "sluice chaos --for 60s -- PROGRAM ARGUMENTS..."}};
  }
  ChaosPlan plan;
  plan.lasting = duration_of("--for", said.lasting);
  // Nothing would be hurt, and the end would say that all is well.
  if (plan.lasting.count() == 0) {
    throw Error{
        {"hurt a program for", "'" + said.lasting + "'", "that is no time", "for example 60s or 5min"}};
  }
  plan.patience = duration_of("--patience", said.patience);
  plan.chaos = chaos_of(said);
  plan.endless = said.endless;
  plan.program = program;
  return plan;
}

// The deaths are meant: they must not look like a worker that cannot be kept alive.
void raise_restart_budget(const ChaosPlan& plan) {
  constexpr const char* kVariable = "SLUICE_RESTART_BUDGET";
  if (const char* own = std::getenv(kVariable); own != nullptr) {
    fmt::print(stderr, "chaos: {}={} is yours, and left as it is\n", kVariable, own);
    return;
  }
  const std::string budget = fmt::format("{}", restart_budget_for(plan.chaos));
  ::setenv(kVariable, budget.c_str(), 1);
  fmt::print(stderr, "chaos: {}={}, so that the kills do not use it up; set it yourself for another\n",
             kVariable, budget);
}

}  // namespace

void add_chaos(CLI::App& program, std::vector<std::string> behind_dashes, int& status) {
  auto said = std::make_shared<ChaosSaid>();
  CLI::App* chaos = program.add_subcommand("chaos", "Hurt a pipeline while it runs");
  chaos->formatter(detail::help_formatter("-- PROGRAM ARGUMENTS..."));
  const auto add = [&](const char* name, std::string& value, const char* help, const char* type) {
    CLI::Option* option = chaos->add_option(name, value, help)->type_name(type);
    if (!value.empty()) option->capture_default_str();
  };
  add("--for", said->lasting, "How long; a PROGRAM that ends before is run again", "DURATION");
  add("--kill", said->kill, "How often a process is killed (SIGKILL)", "RATE");
  add("--stall", said->stall, "How often a worker is made to hang, for the watchdog to end it (SIGUSR2)",
      "RATE");
  add("--stop", said->stop, "How often a process is stopped for 50 to 500 ms (SIGSTOP, SIGCONT)", "RATE");
  add("--patience", said->patience,
      "How long the last run may go on, no longer hurt, before it counts as hung", "DURATION");
  chaos->add_option("--seed", said->seed, "Repeats times and choices; random unless given")
      ->type_name("N")
      ->check(count_between(0, std::numeric_limits<std::uint64_t>::max()));
  chaos->add_flag("--endless", said->endless,
                  "PROGRAM has no end: interrupt it (SIGINT) when the time is over");
  end_help(
      *chaos,
      "A RATE is 5/s, 12/min, 3/h or 0. Without --kill, --stall and --stop: 5/s, 0.2/s, 0.2/s. With one "
      "of them, only what is given. The program itself is never hurt, only the processes of its "
      "pipelines.\n"
      "Ends with status 0 if every run did and left no process behind, else with the status of the run that "
      "did not.",
      {"sluice chaos -- build/words --quiet",
       "sluice chaos --for 60s --kill 20/s -- market --input *.gz --out OUT",
       "sluice chaos --stop 2/s --seed 7 -- build/words"});
  chaos->callback([said, behind = std::move(behind_dashes), &status] {
    const ChaosPlan plan = plan_of(*said, behind);
    raise_restart_budget(plan);
    ::setenv("SLUICE_WATCHDOG_DRILL", "yes",
             1);  // A stall is asked for by a signal, which is ignored otherwise.
    status = run_chaos(plan);
  });
}

}  // namespace sluice::command
