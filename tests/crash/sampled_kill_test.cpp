// SPDX-License-Identifier: Apache-2.0
// Real deaths: a worker is stopped before a random one of its instructions and killed there with SIGKILL; a
// real process replaces it on the same segment, and is killed in its turn.
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "lane_fixture.hpp"
#include "state_checker.hpp"
#include "stepped_worker.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using ipc::test::below;
using ipc::test::SteppedChild;

constexpr std::uint64_t kKills = 240;
constexpr std::uint64_t kInstructions = kSteppingIsTooSlow ? 400 : 1500;  // Stepped before a death, at most.

class SampledKill : public testing::Test {
 protected:
  static Script with_halts(Script script) {
    script.before_commit = [] { SteppedChild::stop_here(); };
    return script;
  }

  // Lets the child run to its next halt, with neighbours that do their part; false at the deadline.
  bool go_on(SteppedChild& child) {
    Attendant attendant{live_};
    const auto until = std::chrono::steady_clock::now() + ipc::test::kDeadline;
    child.let_go();
    while (!child.arrived()) {
      if (std::chrono::steady_clock::now() > until) return false;
      attendant.help();
      std::this_thread::yield();
    }
    return child.stopped();
  }

  // A life that ends at a random instruction of its recovery or of one of its batches.
  void live_and_die() {
    SteppedChild child{[this] {
      live_.wiring().own(process_of(Scene::kWorkload));
      live_in_child(live_, [] { SteppedChild::stop_here(); });
    }};
    register_worker(live_, child.pid());
    // It halts before its construction, before its batches and before their commits.
    for (std::uint64_t halts = below(random_, 10); halts > 0; --halts)
      ASSERT_TRUE(go_on(child)) << child.ending();
    Attendant attendant{live_};
    for (std::uint64_t left = below(random_, kInstructions); left > 0; --left) {
      if (!child.step() && !child.stopped()) FAIL() << child.ending();
      attendant.look();
      ++instructions_;
    }
    const ipc::CommitHeader& commit = live_.view().commit();
    within_commit_ += commit.applied.load() != commit.committed.load() ? 1 : 0;
    within_batch_ += live_.view().undo().tail.load() != live_.view().undo().base.load() ? 1 : 0;
    child.kill();
  }

  void expect_a_whole_number_of_batches(Oracle& oracle) {
    copy_.copy_from(live_);
    const Life life{copy_};
    ASSERT_EQ(audit(copy_, oracle), "");
  }

  static constexpr std::uint64_t kItems = 3000;
  const Script script_{.items = {kItems, kItems - 300}, .portion = 70};
  Scene live_{with_halts(script_)};
  Scene copy_{script_};
  ipc::test::Seed seed_;
  std::mt19937_64 random_ = seed_.engine();
  std::uint64_t instructions_ = 0;
  std::uint64_t within_batch_ = 0;
  std::uint64_t within_commit_ = 0;
};

TEST_F(SampledKill, AtRandomInstructionsLosesNothingAndRepeatsNothing) {
  Oracle oracle;
  live_.feed();
  {
    const ipc::test::SamePlace place;
    for (std::uint64_t kill = 0; kill < kKills; ++kill) {
      SCOPED_TRACE("kill " + std::to_string(kill));
      live_and_die();
      expect_a_whole_number_of_batches(oracle);
      if (HasFailure()) return;
    }
  }
  const std::uint64_t consumed = oracle.items[0] + oracle.items[1];
  SteppedChild last{[this] {
    live_.wiring().own(process_of(Scene::kWorkload));
    live_in_child(live_);
  }};
  while (live_.view().cursors()[kFinished].load() == 0)
    ASSERT_TRUE(go_on(last)) << last.ending();
  live_.take();
  EXPECT_EQ(audit(live_, oracle), "");
  EXPECT_EQ(oracle.items, script_.items);
  std::printf(
      "%llu kills after %llu single steps, %llu of them within a batch and %llu within a commit; "
      "%llu items between them\n",
      static_cast<unsigned long long>(kKills), static_cast<unsigned long long>(instructions_),
      static_cast<unsigned long long>(within_batch_), static_cast<unsigned long long>(within_commit_),
      static_cast<unsigned long long>(consumed));
  EXPECT_GT(within_batch_, 0U);
  EXPECT_GT(consumed, 0U);
}

}  // namespace
}  // namespace sluice::test
