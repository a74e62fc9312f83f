// The restart budget: when a dead worker is replaced, and when the pipeline gives up. A fake clock.

#include "restart_budget.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using testing::AllOf;
using testing::Ge;
using testing::Le;
using testing::Optional;

constexpr RestartPolicy kPolicy{.budget = 3, .window = 10s, .backoff = 4ms, .backoff_max = 1s, .stable = 5s};
constexpr std::uint64_t kMostRandom = ~std::uint64_t{0};

TEST(RestartBudget, ReplacesAtOnceWhoHadAchievedSomething) {
  RestartBudget budget{kPolicy};
  for (int death = 0; death < 3; ++death)
    EXPECT_EQ(budget.on_death(1s, 1ms, true, kMostRandom), 0ns);
}

TEST(RestartBudget, IsSpentByOneDeathMoreThanItHoldsWithinTheWindow) {
  RestartBudget budget{kPolicy};
  EXPECT_TRUE(budget.on_death(1s, 1s, true, 0));
  EXPECT_TRUE(budget.on_death(2s, 1s, true, 0));
  EXPECT_TRUE(budget.on_death(3s, 1s, true, 0));
  EXPECT_FALSE(budget.on_death(10s + 999ms, 1s, true, 0));
}

TEST(RestartBudget, ForgetsDeathsThatTheWindowHasPassed) {
  RestartBudget budget{kPolicy};
  for (nanoseconds now = 1s; now < 300s; now += 3334ms)
    EXPECT_TRUE(budget.on_death(now, 3s, true, 0)) << now.count();
}

TEST(RestartBudget, OfNothingGivesUpAtTheFirstDeath) {
  RestartPolicy none = kPolicy;
  none.budget = 0;
  EXPECT_FALSE(RestartBudget{none}.on_death(1s, 100s, true, 0));
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
    const auto delay = budget.on_death(1s, 1ms, false, 1'000'003);
    EXPECT_THAT(delay, Optional(AllOf(Ge(most / 2), Le(most))));
  }
}

TEST(Backoff, IsSpreadFromAHalfToTheWhole) {
  EXPECT_EQ(RestartBudget{endless()}.on_death(1s, 1ms, false, 0), 2ms);
  EXPECT_EQ(RestartBudget{endless()}.on_death(1s, 1ms, false, 2'000'000), 4ms);
  EXPECT_THAT(RestartBudget{endless()}.on_death(1s, 1ms, false, kMostRandom),
              Optional(AllOf(Ge(2ms), Le(4ms))));
}

TEST(Backoff, BeginsAnewAfterAWorkerThatAchievedSomethingOrLivedLong) {
  RestartBudget budget{endless()};
  for (int death = 0; death < 5; ++death)
    budget.on_death(1s, 1ms, false, 0);
  EXPECT_EQ(budget.on_death(2s, 1ms, true, 0), 0ns);
  EXPECT_EQ(budget.on_death(3s, 1ms, false, 0), 2ms);
  EXPECT_EQ(budget.on_death(9s, 5s, false, 0), 0ns) << "it had lived for restart.stable";
  EXPECT_EQ(budget.on_death(10s, 1ms, false, 0), 2ms);
}

TEST(Backoff, StaysAtItsLimitHoweverLongAndHoweverOften) {
  RestartPolicy policy = endless();
  policy.backoff = std::chrono::hours{1};
  policy.backoff_max = std::chrono::hours{1};
  RestartBudget budget{policy};
  for (int death = 0; death < 100; ++death)
    EXPECT_EQ(budget.on_death(1s, 1ms, false, 0), std::chrono::minutes{30}) << death;
}

TEST(Backoff, CanBeNothing) {
  RestartPolicy policy = endless();
  policy.backoff = 0ns;
  RestartBudget budget{policy};
  for (int death = 0; death < 100; ++death)
    EXPECT_EQ(budget.on_death(1s, 1ms, false, kMostRandom), 0ns);
}

}  // namespace
}  // namespace sluice::test
