// SPDX-License-Identifier: Apache-2.0
// The ledger while it is hurt thousands of times: every entry takes effect once and in order, and neither
// descriptors, memory, files nor processes are left over. About a minute of what an hour of
// `sluice chaos --for 1h -- ledger` does.
#include <filesystem>
#include <iostream>
#include <regex>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "command.hpp"

namespace chaos_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::set<std::string> names_in(const std::filesystem::path& directory) {
  std::set<std::string> names;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator{directory, gone})
    names.insert(entry.path().filename().string());
  return names;
}

// The first number that the one group of `pattern` matches in `text`, or -1.
long number_in(const std::string& text, const std::string& pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex{pattern}) ? std::stol(match[1]) : -1;
}

// How often the summary of chaos, its line "chaos: 575 kills (master 6, ...), 11 stalls (...), ...", says that it did
// `harm`, or -1. The log is on the same stream, and says other things of workers with numbers: "deal/0 stalled".
long times_done(const std::string& errors, const std::string& harm) {
  return number_in(errors, "(?:^|\n)chaos: [^\n]*\\b(\\d+) " + harm + "s?\\b");
}

const std::string kLedgerChaos = std::string{"'"} + SLUICE_PROGRAM + "' chaos ";
const std::string kLedger = std::string{"'"} + LEDGER_PROGRAM + "' ";

// Runs in a directory for temporary files that only it uses, so that what is left there is its own.
class LedgerUnderChaos : public testing::Test {
 protected:
  Finished run_clean(const std::string& command) {
    const std::set<std::string> shared_before = names_in("/dev/shm");
    Finished finished = run("export TMPDIR=" + (scratch_ / "") + "; " + command);
    std::cout << finished.output << finished.errors;
    std::set<std::string> left;
    for (const std::string& name : names_in("/dev/shm")) {
      // Other tests may run beside this one: only what bears the pipeline's name would be its own.
      if (!shared_before.contains(name) && name.find("ledger") != std::string::npos) left.insert(name);
    }
    EXPECT_THAT(left, testing::IsEmpty()) << "left in /dev/shm";
    EXPECT_THAT(names_in(scratch_ / ""), testing::IsEmpty()) << "left among the temporary files";
    return finished;
  }

  // A ledger of some seconds that chaos has hurt at least so often: on a machine that is held up in the wrong places one may be
  // through before.
  Finished run_hurt(int times, const std::string& options) {
    std::string command = kLedger;
    command.append("--entries 3000000 --quiet ").append(options);
    Finished ledger;
    for (int runs = 0; runs < 10 && times_done(ledger.errors, "kill") < times; ++runs) {
      ledger = run_clean(command);
      if (ledger.status != 0) break;
    }
    EXPECT_GE(times_done(ledger.errors, "kill"), times);
    EXPECT_EQ(ledger.status, 0);
    return ledger;
  }

  ScratchDirectory scratch_;
};

TEST_F(LedgerUnderChaos, IsExactAndLeavesNothingBehindRunAfterRun) {
  const Finished chaos =
      run_clean(kLedgerChaos + "--for 14s --kill 50/s --stall 1/s --stop 2/s --patience 90s -- " + kLedger +
                "--entries 3000000 --quiet");
  EXPECT_EQ(chaos.status, 0);
  EXPECT_THAT(chaos.errors, HasSubstr("every one ended with status 0 and left no process behind"));
  EXPECT_THAT(chaos.output, HasSubstr("ledger: 3000000 entries"));
  EXPECT_GT(times_done(chaos.errors, "kill"), 0);
  EXPECT_GT(times_done(chaos.errors, "stall"), 0);
  EXPECT_GT(times_done(chaos.errors, "stop"), 0);
}

// One long run, so that a leak of a descriptor or of some bytes at each restart would show: the ledger
// compares its processes early in the run and late in it.
TEST_F(LedgerUnderChaos, LeaksNeitherDescriptorsNorMemoryOverThousandsOfRestarts) {
  const Finished ledger = run_clean(kLedger + "--restarts 2000 --quiet --chaos 'kill=200/s stall=0 stop=0'");
  EXPECT_EQ(ledger.status, 0);
  EXPECT_THAT(ledger.output,
              AllOf(HasSubstr(" 0 faults"), HasSubstr("host "), HasSubstr("master "), HasSubstr("worker ")));
  EXPECT_GE(number_in(ledger.output, "(\\d+) restarts"), 2000);
}

TEST_F(LedgerUnderChaos, HasNotSucceededWhereNobodyHearsIt) {
  const Finished ledger = run_clean(kLedger + "--entries 1000 --quiet >/dev/full");
  EXPECT_EQ(ledger.status, 1);
  EXPECT_THAT(ledger.errors, HasSubstr("cannot write to standard output: No space left on device"));
}

TEST_F(LedgerUnderChaos, IsExactWithTinyLanesAndBatchesOfOne) {
  const Finished chaos =
      run_clean(kLedgerChaos + "--for 6s --kill 50/s --stall 0.5/s --stop 2/s --patience 90s -- " + kLedger +
                "--entries 100000 --quiet --set lane.slots=2 --set lane.bytes=4KiB --set batch.events=1");
  EXPECT_EQ(chaos.status, 0);
  EXPECT_GT(times_done(chaos.errors, "kill"), 0);
}

TEST_F(LedgerUnderChaos, TellsAtItsEndWhatWasDoneAndHowToRepeatIt) {
  const Finished ledger = run_hurt(1, "--chaos 'kill=50/s seed=7'");
  EXPECT_THAT(
      ledger.errors,
      AllOf(HasSubstr("chaos: kill=50/s stall=0 stop=0 seed=7, with restart.budget 6000"),
            HasSubstr(" kills ("), HasSubstr("again with --chaos \"kill=50/s stall=0 stop=0 seed=7\"")));
}

TEST_F(LedgerUnderChaos, KeepsARestartBudgetThatTheUserHasSetWhichKillsFromOutsideDoNotUseUp) {
  const Finished ledger = run_hurt(4, "--set restart.budget=3 --chaos 'kill=100/s stall=0 stop=0 seed=7'");
  EXPECT_THAT(ledger.errors, AllOf(HasSubstr("with restart.budget 3"), HasSubstr("again with --chaos")));
}

// The chaos that follows, in a session of its own, by which all its processes are known: their command lines say only
// what they are. Then waits until those of the pipeline are there.
std::string in_its_session(const std::string& chaos) {
  return "setsid " + chaos +
         " & session=$!; for i in $(seq 600); do [ $(pgrep -s $session | wc -l) -gt 8 ] && break; sleep 0.1; "
         "done; ";
}

TEST_F(LedgerUnderChaos, EndsWithAllItsProcessesWhenItIsInterrupted) {
  // Some seconds, so that it has started by then also on a busy machine.
  const Finished chaos = run_clean(in_its_session(kLedgerChaos + "--for 1min --kill 50/s --stop 20/s -- " +
                                                  kLedger + "--entries 1000000000 --quiet") +
                                   "sleep 3; kill -INT $session; wait $session; status=$?; "
                                   "pgrep -s $session && echo SURVIVED >&2; exit $status");
  EXPECT_EQ(chaos.status, 1) << "the ledger has drained, and complains that it did not get to its end";
  EXPECT_THAT(chaos.errors, AllOf(HasSubstr("interrupted"), HasSubstr("it ended after "),
                                  HasSubstr("the last one interrupted"), Not(HasSubstr("SURVIVED"))));
  EXPECT_THAT(chaos.output, HasSubstr(" 1 fault;"));
}

// Also those that are stopped just then: a stopped master does not see that its host has died.
TEST_F(LedgerUnderChaos, EndsWithAllItsProcessesWhenChaosItselfIsKilled) {
  const Finished looked = run(
      "export TMPDIR=" + (scratch_ / "") + "; " +
      in_its_session(kLedgerChaos + "--for 1min --stop 50/s -- " + kLedger + "--entries 1000000000 --quiet") +
      "pgrep -s $session | wc -l; kill -KILL $session; "
      "for i in $(seq 600); do pgrep -s $session >/dev/null || break; sleep 0.1; done; echo looked $i times");
  EXPECT_GT(number_in(looked.output, "(\\d+)\\n"), 8) << "chaos, host, master, workers";
  EXPECT_THAT(looked.output, AllOf(HasSubstr("looked "), Not(HasSubstr("looked 600 times"))));
}

}  // namespace
}  // namespace chaos_test
