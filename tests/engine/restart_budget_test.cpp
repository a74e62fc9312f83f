// SPDX-License-Identifier: Apache-2.0
// The restart budget: when a dead worker is replaced, and when the pipeline gives up. A fake clock.

#include "master/restart_budget.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using testing::AllOf;
using testing::Ge;
using testing::Le;

constexpr RestartPolicy kPolicy{.budget = 3, .window = 10s, .backoff = 4ms, .backoff_max = 1s, .stable = 5s};
constexpr std::uint64_t kMostRandom = ~std::uint64_t{0};

TEST(Backoff, ReplacesAtOnceWhoHadAchievedSomething) {
  RestartBudget budget{kPolicy};
  for (int death = 0; death < 3; ++death)
    EXPECT_EQ(budget.pause(1ms, true, kMostRandom), 0ns);
}

TEST(RestartBudget, IsSpentByOneDeathMoreThanItHoldsWithinTheWindow) {
  RestartBudget budget{kPolicy};
  EXPECT_TRUE(budget.allows(1s));
  EXPECT_TRUE(budget.allows(2s));
  EXPECT_TRUE(budget.allows(3s));
  EXPECT_FALSE(budget.allows(10s + 999ms));
}

TEST(RestartBudget, SaysHowMuchIsLeft) {
  RestartBudget budget{kPolicy};
  EXPECT_EQ(budget.left(1s), 3U);
  EXPECT_TRUE(budget.allows(1s));
  EXPECT_TRUE(budget.allows(2s));
  EXPECT_EQ(budget.left(3s), 1U);
  EXPECT_EQ(budget.left(11s + 1ms), 2U);
  EXPECT_EQ(budget.left(60s), 3U);
}

TEST(RestartBudget, ForgetsDeathsThatTheWindowHasPassed) {
  RestartBudget budget{kPolicy};
  for (nanoseconds now = 1s; now < 300s; now += 3334ms)
    EXPECT_TRUE(budget.allows(now)) << now.count();
}

TEST(RestartBudget, OfNothingGivesUpAtTheFirstDeath) {
  RestartPolicy none = kPolicy;
  none.budget = 0;
  EXPECT_FALSE(RestartBudget{none}.allows(1s));
}

// What the budget promises, said in the most obvious way, and held against thousands of random histories.
TEST(RestartBudget, AllowsWhatAListOfAllDeathsWouldAllow) {
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random{seed};
  const auto below = [&random](int most) { return std::uniform_int_distribution{0, most - 1}(random); };
  for (int history = 0; history < 2'000; ++history) {
    RestartPolicy policy = kPolicy;
    policy.budget = static_cast<std::size_t>(below(8));
    policy.window = std::chrono::milliseconds{1 + below(2'000)};
    RestartBudget budget{policy};
    std::vector<nanoseconds> allowed;
    nanoseconds now = 1s;
    for (int death = 0; death < 50; ++death) {
      now += std::chrono::milliseconds{below(500)};
      const auto recent = static_cast<std::size_t>(std::count_if(
          allowed.begin(), allowed.end(), [&](nanoseconds at) { return now - at < policy.window; }));
      const bool allows = budget.allows(now);
      ASSERT_EQ(allows, recent < policy.budget) << "history " << history << ", death " << death;
      if (allows) allowed.push_back(now);
    }
  }
}

TEST(Backoff, NeverShrinksWhileNothingIsAchievedAndNeverLastsAfterSomethingWas) {
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random{seed};
  RestartPolicy policy = kPolicy;
  policy.budget = 1'000'000;
  RestartBudget budget{policy};
  nanoseconds floor{0};  // Half of the pause before jitter.
  for (int death = 0; death < 10'000; ++death) {
    const bool achieved = random() % 8 == 0;
    const nanoseconds delay = budget.pause(1ms, achieved, random());
    if (achieved) {
      ASSERT_EQ(delay, 0ns);
      floor = 0ns;
    } else {
      floor = floor == 0ns ? policy.backoff / 2 : std::min<nanoseconds>(2 * floor, policy.backoff_max / 2);
      ASSERT_THAT(delay, AllOf(Ge(floor), Le(2 * floor)));
    }
  }
}

TEST(SpentBudget, SaysHowOftenTheWorkerDiedAndOfWhat) {
  StartRecord starts;
  starts.on_death(true);
  EXPECT_THAT(to_text(SpentBudget{"parse/0", 5, "\"5f.1.0.0.32\"", "signal 11", starts}),
              testing::StartsWith("parse/0 died 6 times within restart.window, the last time in the event "
                                  "\"5f.1.0.0.32\": signal 11; "));
  EXPECT_THAT(to_text(SpentBudget{"parse/0", 0, {}, "signal 11", starts}),
              testing::StartsWith("parse/0 died 1 time within restart.window, in no event: signal 11; "));
}

TEST(SpentBudget, SaysThatAWorkerNeverBecameReady) {
  StartRecord starts;
  for (int start = 0; start < 6; ++start)
    starts.on_death(false);
  EXPECT_THAT(to_text(SpentBudget{"parse/0", 5, {}, "it threw: no licence", starts}),
              AllOf(testing::StartsWith("parse/0 never became ready: 6 starts in a row"),
                    testing::HasSubstr("it threw: no licence")));
  StartRecord later;
  later.on_death(true);
  later.on_death(false);
  EXPECT_THAT(
      to_text(SpentBudget{"parse/0", 5, {}, "signal 11", later}),
      testing::StartsWith(
          "parse/0 does not become ready any more: a start ended before its handler was constructed, so: "));
}

RestartPolicy endless() {
  RestartPolicy policy = kPolicy;
  policy.budget = 1'000'000;
  return policy;
}

TEST(Backoff, DoublesWithEachDeathThatAchievedNothingUpToItsLimit) {
  RestartBudget budget{endless()};
  for (const nanoseconds most :
       std::initializer_list<nanoseconds>{4ms, 8ms, 16ms, 32ms, 64ms, 128ms, 256ms, 512ms, 1s, 1s, 1s}) {
    const auto delay = budget.pause(1ms, false, 1'000'003);
    EXPECT_THAT(delay, AllOf(Ge(most / 2), Le(most)));
  }
}

TEST(Backoff, IsSpreadFromAHalfToTheWhole) {
  EXPECT_EQ(RestartBudget{endless()}.pause(1ms, false, 0), 2ms);
  EXPECT_EQ(RestartBudget{endless()}.pause(1ms, false, 2'000'000), 4ms);
  EXPECT_THAT(RestartBudget{endless()}.pause(1ms, false, kMostRandom), AllOf(Ge(2ms), Le(4ms)));
}

TEST(Backoff, BeginsAnewAfterAWorkerThatAchievedSomethingOrLivedLong) {
  RestartBudget budget{endless()};
  for (int death = 0; death < 5; ++death)
    budget.pause(1ms, false, 0);
  EXPECT_EQ(budget.pause(1ms, true, 0), 0ns);
  EXPECT_EQ(budget.pause(1ms, false, 0), 2ms);
  EXPECT_EQ(budget.pause(5s, false, 0), 0ns) << "it had lived for restart.stable";
  EXPECT_EQ(budget.pause(1ms, false, 0), 2ms);
}

TEST(Backoff, StaysAtItsLimitHoweverLongAndHoweverOften) {
  RestartPolicy policy = endless();
  policy.backoff = std::chrono::hours{1};
  policy.backoff_max = std::chrono::hours{1};
  RestartBudget budget{policy};
  for (int death = 0; death < 100; ++death)
    EXPECT_EQ(budget.pause(1ms, false, 0), std::chrono::minutes{30}) << death;
}

TEST(Backoff, CanBeNothing) {
  RestartPolicy policy = endless();
  policy.backoff = 0ns;
  RestartBudget budget{policy};
  for (int death = 0; death < 100; ++death)
    EXPECT_EQ(budget.pause(1ms, false, kMostRandom), 0ns);
}

}  // namespace
}  // namespace sluice::test
