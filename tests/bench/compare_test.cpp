// SPDX-License-Identifier: Apache-2.0
// Two runs beside each other: what differs, and what is noise.
#include <compare.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "made_up.hpp"

namespace bench_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Spread rounds(double least, double most, std::size_t count = 5) {
  return {(least + most) / 2, least, most, count};
}

TEST(ADifference, ExceedsTheNoiseIfEveryRoundOfOneRunIsBetterThanEveryRoundOfTheOther) {
  EXPECT_TRUE(beyond_noise(rounds(10, 12), rounds(13, 15)));
  EXPECT_TRUE(beyond_noise(rounds(13, 15), rounds(10, 12)));
  EXPECT_FALSE(beyond_noise(rounds(10, 13), rounds(12, 15)));
  EXPECT_FALSE(beyond_noise(rounds(10, 12), rounds(12, 15))) << "a tie is no difference";
}

TEST(ADifference, OfTooFewRoundsIsNoise) {
  EXPECT_FALSE(beyond_noise(rounds(1, 2, 4), rounds(10, 20, 5)));
}

TEST(Differences, TellRatioAndDirection) {
  const Report before = report({suite("lane", {steady("one_way/lane/8B", "items_per_second", 100),
                                               steady("round_trip/lane/64B", "p50_ns", 200)})});
  const Report after = report({suite("lane", {steady("one_way/lane/8B", "items_per_second", 150),
                                              steady("round_trip/lane/64B", "p50_ns", 300)})});
  const std::vector<Difference> all = differences(before, after);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_DOUBLE_EQ(all[0].ratio, 1.5);
  EXPECT_TRUE(all[0].beyond_noise && all[0].better && all[0].main);
  EXPECT_DOUBLE_EQ(all[1].ratio, 1.5);
  EXPECT_TRUE(all[1].beyond_noise && !all[1].better) << "a longer time is worse";
}

TEST(Differences, AreAlsoToldRelativeToEachRunsOwnBaseline) {
  const Report before =
      report({suite("lane", {steady("one_way/lane/8B", "items_per_second", 100),
                             steady("one_way/baseline:bare/8B", "items_per_second", 200)})});
  const Report after = report({suite("lane", {steady("one_way/lane/8B", "items_per_second", 50),
                                              steady("one_way/baseline:bare/8B", "items_per_second", 100)})});
  const std::vector<Difference> all = differences(before, after);
  EXPECT_DOUBLE_EQ(all[0].ratio, 0.5);
  EXPECT_DOUBLE_EQ(all[0].relative, 1.0) << "the machine was slower, the lane was not";
}

TEST(Differences, LeaveOutWhatOnlyOneRunHas) {
  const Report before = report({suite("lane", {steady("one_way/lane/8B", "items_per_second", 1)})});
  const Report after = report({suite("lane", {steady("one_way/lane/64B", "items_per_second", 1)}),
                               suite("hop", {steady("table/undo", "items_per_second", 1)})});
  EXPECT_THAT(differences(before, after), IsEmpty());
  EXPECT_THAT(only_in_first(before, after), ElementsAre("lane one_way/lane/8B"));
  EXPECT_THAT(only_in_first(after, before), ElementsAre("lane one_way/lane/64B", "hop table/undo"));
}

TEST(Caveats, NameWhatMakesTwoRunsHardToCompare) {
  const Report before = report({});
  Report after = before;
  EXPECT_THAT(caveats(before, after), IsEmpty());
  after.quick = true;
  after.machine.facts[0].second = "Another";
  EXPECT_THAT(
      caveats(before, after),
      ElementsAre(HasSubstr("The cpu differs: 'A processor' before, 'Another' now"), HasSubstr("--quick")));
}

}  // namespace
}  // namespace bench_test
