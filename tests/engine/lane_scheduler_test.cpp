// SPDX-License-Identifier: Apache-2.0
// Which lanes a worker looks at: none is left out for long, and those that have something come first.
#include "worker/lane_scheduler.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/inline.hpp>
#include <sluice/pipeline.hpp>

namespace sluice::detail {
namespace {

constexpr auto kNeverEnough = [] { return false; };

// The lanes of one round; those in `full` have something.
std::vector<std::size_t> round_of(LaneScheduler& attention, const std::set<std::size_t>& full = {}) {
  std::vector<std::size_t> looked_at;
  attention.round(
      [&](std::size_t lane) {
        looked_at.push_back(lane);
        return full.contains(lane);
      },
      kNeverEnough);
  return looked_at;
}

bool contains(const std::vector<std::size_t>& lanes, std::size_t lane) {
  return std::find(lanes.begin(), lanes.end(), lane) != lanes.end();
}

TEST(LaneScheduler, LooksAtAllOfAFewLanesBeginningWithAnotherOneEachTime) {
  LaneScheduler attention{LaneScheduler::kFew};
  std::set<std::size_t> firsts;
  for (std::size_t i = 0; i < LaneScheduler::kFew; ++i) {
    const std::vector<std::size_t> lanes = round_of(attention);
    EXPECT_EQ(std::set(lanes.begin(), lanes.end()).size(), LaneScheduler::kFew);
    firsts.insert(lanes.front());
  }
  EXPECT_EQ(firsts.size(), LaneScheduler::kFew);
}

TEST(LaneScheduler, LooksAtEveryQuietLaneWithinItsBound) {
  constexpr std::size_t kLanes = 1000;
  LaneScheduler attention{kLanes};
  std::set<std::size_t> seen;
  for (std::size_t i = 0; i < kLanes / LaneScheduler::kSlice; ++i) {
    const std::vector<std::size_t> lanes = round_of(attention);
    EXPECT_EQ(lanes.size(), LaneScheduler::kSlice);
    seen.insert(lanes.begin(), lanes.end());
  }
  EXPECT_EQ(seen.size(), kLanes);
}

TEST(LaneScheduler, LooksAtABusyLaneInEveryRoundUntilItHasBeenQuietForAWhile) {
  LaneScheduler attention{1000};
  attention.notice(700);
  for (int i = 0; i < 300; ++i)
    EXPECT_TRUE(contains(round_of(attention, {700}), 700));
  for (int i = 0; i < LaneScheduler::kMemory; ++i)
    EXPECT_TRUE(contains(round_of(attention), 700));
  EXPECT_TRUE(attention.busy().empty());
}

TEST(LaneScheduler, GivesTheQuietLanesTheirTurnBeforeBusyOnesFillTheBatch) {
  LaneScheduler attention{100};
  for (std::size_t lane = 0; lane < 50; ++lane)
    attention.notice(lane);
  std::set<std::size_t> seen;
  for (int i = 0; i < 100; ++i) {
    std::size_t looks = 0;
    attention.round(
        [&](std::size_t lane) {
          ++looks;
          seen.insert(lane);
          return lane < 50;
        },
        [&] { return looks == LaneScheduler::kSlice + 1; });
  }
  EXPECT_EQ(seen.size(), 100U);
}

TEST(LaneScheduler, FindsInTheRestWhatTheRoundLeftOut) {
  LaneScheduler attention{100};
  attention.notice(3);
  std::vector<std::size_t> lanes = round_of(attention);
  attention.rest(
      [&](std::size_t lane) {
        lanes.push_back(lane);
        return lane == 99;
      },
      kNeverEnough);
  EXPECT_EQ(std::set(lanes.begin(), lanes.end()).size(), 100U);
  EXPECT_TRUE(contains(attention.busy(), 99));
}

struct CountsToTen {
  bool operator()(Output<int>& out) {
    out.push(++made_);
    return made_ < 10;
  }
  int made_ = 0;
};
struct HandsOn {
  void operator()(const int& number, Output<int>& out) { out.push(number); }
};

TEST(LaneScheduler, ReadsFortyLanesToTheirEnd) {
  Pipeline pipeline{"forty"};
  pipeline.source<CountsToTen>("count", StageOptions{.workers = 40}).to<HandsOn>("gather").outlet("out");
  Settings settings;
  settings.set("batch.events", "3");
  const InlineRun run = run_inline(pipeline, settings);
  int sum = 0;
  for (const int number : run.events<int>("out"))
    sum += number;
  EXPECT_EQ(sum, 40 * 55);
}

}  // namespace
}  // namespace sluice::detail
