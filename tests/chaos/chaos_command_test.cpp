// SPDX-License-Identifier: Apache-2.0
// `sluice chaos` as a user meets it: what it refuses, how it ends, what it leaves to its program.
#include <csignal>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "command.hpp"

namespace chaos_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kChaos = std::string{"'"} + SLUICE_PROGRAM + "' chaos ";

TEST(ChaosCommand, RefusesWhatItDoesNotUnderstandWithStatusTwo) {
  const auto refused = [](const std::string& arguments, const std::string& why) {
    const Finished chaos = run(kChaos + arguments);
    EXPECT_EQ(chaos.status, 2) << arguments;
    EXPECT_THAT(chaos.errors, HasSubstr(why)) << arguments;
    EXPECT_EQ(chaos.output, "") << arguments;
  };
  refused("", "there is none behind --");
  refused("--", "there is none behind --");
  refused("true", "write -- before the program: sluice chaos [OPTIONS] -- true");
  refused("--kill 5 -- true", "the rate '5' of kill: its unit is missing");
  refused("--stop often -- true", "the rate 'often' of stop");
  refused("--for 5 -- true", "the duration '5' of --for: its unit is missing");
  refused("--for 0 -- true", "cannot hurt a program for '0': that is no time");
  refused("--for 0s -- true", "that is no time");
  refused("--seed x -- true", "--seed takes a number of at least 0, not \"x\"");
  refused("--maim 5/s -- true", "there is no option --maim");
  refused("-- /nonexistent/program", "cannot start '/nonexistent/program': No such file or directory");
  refused("-- /dev/null", "cannot start '/dev/null': Permission denied");
}

TEST(ChaosCommand, HandsOptionsBehindTheDashesToTheProgram) {
  const Finished chaos = run(kChaos + "--for 1ms -- echo --for 5 -- --kill");
  EXPECT_EQ(chaos.status, 0);
  EXPECT_THAT(chaos.output, HasSubstr("--for 5 -- --kill\n"));
}

TEST(ChaosCommand, RunsAProgramAgainUntilTheTimeIsOver) {
  const Finished chaos = run(kChaos + "--for 3s --seed 7 -- sh -c 'echo run; sleep 0.1'");
  EXPECT_EQ(chaos.status, 0) << chaos.errors;
  EXPECT_THAT(chaos.output, HasSubstr("run\nrun\n"));
  EXPECT_THAT(
      chaos.errors,
      AllOf(HasSubstr("every one ended with status 0 and left no process behind"),
            HasSubstr("no process was hurt: none of a pipeline was seen"),
            HasSubstr("again: sluice chaos --for 3s --kill 5/s --stall 0.2/s --stop 0.2/s --seed 7 -- "
                      "sh -c 'echo run; sleep 0.1'")));
}

TEST(ChaosCommand, EndsWithTheStatusOfTheRunThatFailed) {
  const ScratchDirectory scratch;
  const std::string third_fails =
      "echo >>" + (scratch / "runs") + "; [ $(wc -l <" + (scratch / "runs") + ") -lt 3 ] || ";
  const Finished chaos = run(kChaos + "--for 1min --seed 7 -- sh -c '" + third_fails + "exit 42'");
  EXPECT_EQ(chaos.status, 42);
  EXPECT_THAT(chaos.errors,
              AllOf(HasSubstr("run 3 ended with status 42"), HasSubstr("seed 7"),
                    HasSubstr("what was done to it: nothing"), HasSubstr("the last one failed")));
  const Finished signalled = run(kChaos + "--for 1min -- sh -c 'kill -SEGV $$'");
  EXPECT_EQ(signalled.status, 128 + SIGSEGV);
  EXPECT_THAT(signalled.errors, HasSubstr("run 1 died of signal 11 (Segmentation fault)"));
}

TEST(ChaosCommand, CountsAProcessThatARunLeavesBehindAsAFailure) {
  // No other test has one of that length; it sleeps before the run ends.
  const std::string length = std::to_string(1'000'000 + ::getpid());
  const Finished chaos = run(kChaos + "--for 1ms -- sh -c 'setsid sleep " + length +
                             " & until grep -q \"(sleep) S\" /proc/$!/stat; do sleep 0.01; done'");
  EXPECT_EQ(chaos.status, 1);
  EXPECT_THAT(chaos.errors, AllOf(HasSubstr("run 1 left processes behind: "), HasSubstr("sleep (state S)")));
  EXPECT_EQ(run("for i in $(seq 600); do pgrep -x -f 'sleep " + length +
                "' >/dev/null || exit 0; sleep 0.1; done; exit 1")
                .status,
            0)
      << "it is still there";
}

TEST(ChaosCommand, TakesALastRunThatDoesNotEndForHung) {
  const Finished chaos = run(kChaos + "--for 1ms --patience 2s -- sleep 60");
  EXPECT_EQ(chaos.status, 128 + SIGTERM);
  EXPECT_THAT(chaos.errors, AllOf(HasSubstr("run 1 has not ended 2s after it was last hurt"),
                                  HasSubstr("sleep (state S)")));
}

TEST(ChaosCommand, InterruptsAnEndlessProgramWhenTheTimeIsOver) {
  const std::string endless = "sh -c 'trap \"echo drained; exit 0\" INT; while :; do sleep 0.01; done'";
  const Finished chaos = run(kChaos + "--for 3s --endless -- " + endless);  // It has its trap by then.
  EXPECT_EQ(chaos.status, 0) << chaos.errors;
  EXPECT_EQ(chaos.output, "drained\n");
}

TEST(ChaosCommand, HandsAnInterruptOnAndEndsWithTheProgram) {
  // The file says that the program has its trap.
  const std::string program =
      "sh -c 'trap \"echo drained; exit 0\" TERM; : >\"$F\"; while :; do sleep 0.01; done'";
  const Finished chaos =
      run("F=$(mktemp -u); export F; " + kChaos + "-- " + program +
          " & until [ -e \"$F\" ]; do sleep 0.01; done; rm \"$F\"; kill -TERM $!; wait $!");
  EXPECT_EQ(chaos.status, 0) << chaos.errors;
  EXPECT_EQ(chaos.output, "drained\n");
  EXPECT_THAT(chaos.errors, AllOf(HasSubstr("interrupted"), Not(HasSubstr("failed"))));
}

TEST(ChaosCommand, RaisesTheRestartBudgetUnlessTheUserHasSetIt) {
  const std::string show = "--for 1ms -- sh -c 'echo budget $SLUICE_RESTART_BUDGET'";
  const Finished raised = run(kChaos + show);
  EXPECT_THAT(raised.output, HasSubstr("budget 1520\n"));
  EXPECT_THAT(raised.errors, HasSubstr("SLUICE_RESTART_BUDGET=1520, so that"));
  const Finished own = run("SLUICE_RESTART_BUDGET=3 " + kChaos + show);
  EXPECT_THAT(own.output, HasSubstr("budget 3\n"));
  EXPECT_THAT(own.errors, HasSubstr("SLUICE_RESTART_BUDGET=3 is yours, and left as it is"));
}

}  // namespace
}  // namespace chaos_test
