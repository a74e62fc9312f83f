// SPDX-License-Identifier: Apache-2.0
// A real worker is run one instruction at a time, from its construction through its batches to its end; after
// each store that another process could see, a real replacement takes over a copy of what is there.
#include <filesystem>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "state_checker.hpp"
#include "stepped_worker.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace detail;
namespace {

class EveryInstruction : public testing::Test {
 protected:
  void SetUp() override {
    if (kSteppingIsTooSlow) GTEST_SKIP() << "single steps of sanitized code take too long";
  }
  ~EveryInstruction() override {
    for (const char* which : {"live", "copy"})
      clear_away(path(which));
  }
  static std::filesystem::path path(const std::string& which) {
    return std::filesystem::temp_directory_path() /
           ("sluice-workload-" + which + "-" + std::to_string(::getpid()));
  }

  // Every instruction of a worker's first life.
  static Coverage step_through_life(const Script& script) {
    StateChecker state_checker{script, path("copy")};
    Scene live{script};
    live.feed();
    Watcher watcher;
    const ipc::test::Steps steps = step_life(
        live, Span::whole, [&] { return !watcher.changed(live) || state_checker.look(live, watcher); });
    state_checker.coverage.instructions = steps.instructions;
    state_checker.coverage.print(testing::UnitTest::GetInstance()->current_test_info()->name());
    state_checker.coverage.rounds = live.neighbours().rounds;
    EXPECT_EQ(state_checker.wrong(), "");
    EXPECT_EQ(steps.ending, "whole");
    EXPECT_EQ(state_checker.coverage.commits, state_checker.undisturbed().of_first_life)
        << "every commit was seen";
    EXPECT_GT(state_checker.coverage.instructions, 10'000U);
    EXPECT_GT(state_checker.coverage.states, 100U);
    EXPECT_GT(state_checker.coverage.finishing, 0U);
    EXPECT_GT(state_checker.coverage.to_recover, state_checker.coverage.finishing);
    return state_checker.coverage;
  }
};

TEST_F(EveryInstruction, OfBatchesOfFixedEventsLeavesAWholeNumberOfBatches) {
  step_through_life({});
}

TEST_F(EveryInstruction, OfBatchesOfSpansLeavesAWholeNumberOfBatches) {
  step_through_life({.items = {9, 7}, .spans = true});
}

TEST_F(EveryInstruction, OfASpanWhoseHandlerThrowsLeavesWhatCameBeforeIt) {
  step_through_life({.items = {9, 7}, .spans = true, .fails = true});
}

TEST_F(EveryInstruction, OfBatchesOfRecordsLeavesAWholeNumberOfBatches) {
  step_through_life({.items = {7, 5}, .records = true});
}

TEST_F(EveryInstruction, OfACommitInTheMidstOfAnEventLeavesAWholeNumberOfBatches) {
  EXPECT_GT(step_through_life({.items = {9, 8}, .bulk = true}).split, 0U);
}

// The worker stands still between its batches, or dies on the way there, and its replacement does.
TEST_F(EveryInstruction, OfTheRoundsOfCheckpointsLeavesAWholeNumberOfBatchesAndStampsWhatChanges) {
  EXPECT_GT(step_through_life({.items = {9, 8}, .portion = 1, .rounds = true, .reports = false}).rounds, 2U);
}

TEST_F(EveryInstruction, OfTheRoundsOfCheckpointsInTheMidstOfAnEventLeavesAWholeNumberOfBatches) {
  const Coverage seen = step_through_life({.items = {9, 8}, .bulk = true, .rounds = true});
  EXPECT_GT(seen.split, 0U);
  EXPECT_GT(seen.rounds, 2U);
}

TEST_F(EveryInstruction, OfASourceLeavesAWholeNumberOfBatches) {
  step_through_life({.items = {9, 7}, .source = true});
}

TEST_F(EveryInstruction, OfAHandlerThatThrowsLeavesWhatCameBeforeItsEvent) {
  step_through_life({.items = {9, 7}, .fails = true});
}

TEST_F(EveryInstruction, OfAWorkerThatFallsAsleepAndIsWokenLeavesAWholeNumberOfBatches) {
  step_through_life({.items = {6, 5}, .portion = 2, .reports = false});
}

// The worker of one lane stores most of its commits from what it has in hand.
TEST_F(EveryInstruction, OfEventsOneByOneFromOneLaneLeavesAWholeNumberOfBatches) {
  step_through_life({.items = {9, 0}, .portion = 1, .alone = true, .reports = false});
}

TEST_F(EveryInstruction, OfBatchesFromOneLaneLeavesAWholeNumberOfBatches) {
  step_through_life({.items = {13, 0}, .alone = true});
}

TEST_F(EveryInstruction, OfBatchesOfRecordsFromOneLaneLeavesAWholeNumberOfBatches) {
  step_through_life({.items = {9, 0}, .records = true, .alone = true});
}

TEST_F(EveryInstruction, OfACommitInTheMidstOfAnEventFromOneLaneLeavesAWholeNumberOfBatches) {
  EXPECT_GT(step_through_life({.items = {12, 0}, .alone = true, .bulk = true}).split, 0U);
}

TEST_F(EveryInstruction, OfAHandlerThatThrowsAnEventFromOneLaneLeavesWhatCameBeforeIt) {
  step_through_life({.items = {9, 0}, .alone = true, .fails = true});
}

TEST_F(EveryInstruction, OfAFileThatIsAppendedToLeavesTheLinesOfAWholeNumberOfBatches) {
  step_through_life({.items = {6, 5}, .reports = false, .file = path("live")});
}

TEST_F(EveryInstruction, OfTheMoveOfADeadLetterLeavesItInItsLaneOrInItsFile) {
  step_through_life({.items = {8, 6}, .reports = false, .dead_letters = path("live")});
}

TEST_F(EveryInstruction, OfTheMoveOfADeadRecordLeavesItInItsLaneOrInItsFile) {
  step_through_life({.items = {8, 6}, .records = true, .reports = false, .dead_letters = path("live")});
}

}  // namespace
}  // namespace sluice::test
