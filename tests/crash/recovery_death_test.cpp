// SPDX-License-Identifier: Apache-2.0
// Recovery is killed like everything else: a worker dies, its replacement dies while it recovers, and the
// replacement of that one too; the fourth finds what the second should have found.
#include <filesystem>
#include <random>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "lane_fixture.hpp"
#include "state_checker.hpp"
#include "stepped_worker.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace detail;
namespace {

constexpr std::size_t kDeaths = 3;

// After so many deaths, one in how many states is the next death: of those with a commit to finish, and of
// those with nothing but state to undo. Which ones, the seed says.
constexpr std::array<std::uint64_t, kDeaths - 1> kOneOfFinishing{6, 8};
constexpr std::array<std::uint64_t, kDeaths - 1> kOneOfUndoing{200, 16};

class RecoveryDeath : public testing::Test {
 protected:
  ~RecoveryDeath() override {
    for (std::size_t death = 0; death <= kDeaths; ++death)
      clear_away(path(death));
  }

  static std::filesystem::path path(std::size_t death) {
    return std::filesystem::temp_directory_path() /
           ("sluice-recovery-" + std::to_string(death) + "-" + std::to_string(::getpid()));
  }

  void die_again_and_again(Script script) {
    if (kSteppingIsTooSlow) GTEST_SKIP() << "single steps of sanitized code take too long";
    if (!kOptimized)
      GTEST_SKIP() << "recoveries of recoveries of code that is not optimized take too many steps";
    const bool file = !script.file.empty();
    const bool dead_letters = !script.dead_letters.empty();
    state_checker_ = std::make_unique<StateChecker>(script, path(kDeaths));
    for (std::size_t death = 0; death < kDeaths; ++death) {
      if (file) script.file = path(death);
      if (dead_letters) script.dead_letters = path(death);
      lives_.push_back(std::make_unique<Scene>(script));
    }
    for (std::size_t death = 0; death + 1 < kDeaths; ++death) {
      finishing_[death] = ipc::test::below(random_, kOneOfFinishing[death]);
      undoing_[death] = ipc::test::below(random_, kOneOfUndoing[death]);
    }
    lives_.front()->feed();
    die(0);
    EXPECT_EQ(state_checker_->wrong(), "");
    state_checker_->coverage.print(testing::UnitTest::GetInstance()->current_test_info()->name());
    std::printf("  recoveries stepped through: %llu after one death, %llu after two\n",
                static_cast<unsigned long long>(stepped_[1]), static_cast<unsigned long long>(stepped_[2]));
    for (std::size_t death = 0; death < kDeaths; ++death)
      EXPECT_GT(stepped_[death], 0U) << "deaths before: " << death;
    EXPECT_GT(state_checker_->coverage.instructions, 100'000U);
    EXPECT_GT(state_checker_->coverage.states, 100U);
  }

 private:
  // Steps through the life after so many deaths; at some of its states it dies, and the next life begins.
  void die(std::size_t deaths) {
    ++stepped_[deaths];
    const Scene& live = *lives_[deaths];
    Watcher watcher;
    const ipc::test::Steps steps =
        step_life(*lives_[deaths], deaths == 0 ? Span::whole : Span::recovery, [&] {
          if (!watcher.changed(live)) return true;
          if (!state_checker_->look(live, watcher)) return false;
          if (deaths + 1 < kDeaths && is_chosen(deaths)) {
            lives_[deaths + 1]->copy_from(live);
            die(deaths + 1);
          }
          return state_checker_->wrong().empty();
        });
    state_checker_->coverage.instructions += steps.instructions;
    if (state_checker_->wrong().empty()) {
      EXPECT_EQ(steps.ending, "whole");
    }
  }

  bool is_chosen(std::size_t deaths) {
    const StateChecker::Found& found = state_checker_->found();
    if (!found.is_new || !(found.finishing || found.undoing)) return false;
    return found.finishing ? finishing_[deaths]++ % kOneOfFinishing[deaths] == 0
                           : undoing_[deaths]++ % kOneOfUndoing[deaths] == 0;
  }

  ipc::test::Seed seed_;
  std::mt19937_64 random_ = seed_.engine();
  std::unique_ptr<StateChecker> state_checker_;
  std::vector<std::unique_ptr<Scene>> lives_;
  std::array<std::uint64_t, kDeaths> stepped_{};
  std::array<std::uint64_t, kDeaths - 1> finishing_{};  // States so far, from a random number on.
  std::array<std::uint64_t, kDeaths - 1> undoing_{};
};

TEST_F(RecoveryDeath, ThreeInARowLeaveAWholeNumberOfBatches) {
  die_again_and_again({.items = {5, 4}});
}

TEST_F(RecoveryDeath, ThreeInARowInTheMidstOfAnEventLeaveAWholeNumberOfBatches) {
  die_again_and_again({.items = {4, 3}, .bulk = true});
}

TEST_F(RecoveryDeath, ThreeInARowLeaveTheFileOfAWholeNumberOfBatches) {
  die_again_and_again({.items = {4, 3}, .reports = false, .file = path(0)});
}

TEST_F(RecoveryDeath, ThreeInARowLeaveADeadLetterInItsLaneOrInItsFile) {
  die_again_and_again({.items = {6, 4}, .reports = false, .dead_letters = path(0)});
}

}  // namespace
}  // namespace sluice::test
