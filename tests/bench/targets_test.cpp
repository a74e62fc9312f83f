// SPDX-License-Identifier: Apache-2.0
// The targets on figures that are known: where the line is, and what is said when there is nothing to judge.
#include <algorithm>
#include <targets.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "made_up.hpp"

namespace bench_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TargetRow row(const Report& report, int number, const std::string& what) {
  for (const TargetRow& each : targets(report)) {
    if (each.number == number && each.what == what) return each;
  }
  ADD_FAILURE() << "no row " << number << " " << what;
  return {};
}

Report one_way(double ours, double theirs) {
  return report({suite("peers", {steady("one_way/lane/64B/single", "items_per_second", ours),
                                 steady("one_way/peer:slow/64B/single", "items_per_second", 1),
                                 steady("one_way/peer:fast/64B/single", "items_per_second", theirs)})});
}

TEST(Targets, AreAllThereWithOneRowAtLeast) {
  const std::vector<TargetRow> rows = targets(report({}));
  for (int number = 1; number <= kTargets; ++number)
    EXPECT_TRUE(std::ranges::any_of(rows, [number](const TargetRow& row) { return row.number == number; }))
        << number;
  for (const TargetRow& row : rows) {
    EXPECT_EQ(row.verdict, Verdict::not_measured) << row.what;
    EXPECT_THAT(row.why, HasSubstr("was not run")) << row.what;
  }
}

TEST(TheLane, IsMeasuredAgainstTheBestPeerAndOwesMoreAt64B) {
  const TargetRow holds = row(one_way(120, 100), 4, "64B, single");
  EXPECT_EQ(holds.verdict, Verdict::holds);
  EXPECT_THAT(holds.measured, StartsWith("1.20: "));
  EXPECT_THAT(holds.measured, HasSubstr("peer:fast"));
  EXPECT_EQ(row(one_way(119, 100), 4, "64B, single").verdict, Verdict::falls_short);
}

TEST(TheLane, TakesTheBestOfBatchAndInPlaceOnBothSides) {
  const Report made =
      report({suite("peers", {steady("one_way/lane/8B/batch", "items_per_second", 10),
                              steady("one_way/lane/8B/in_place", "items_per_second", 30),
                              steady("one_way/peer:a/8B/batch", "items_per_second", 20),
                              steady("one_way/peer:b/8B/in_place", "items_per_second", 15)})});
  const TargetRow found = row(made, 4, "8B, batch or in place");
  EXPECT_EQ(found.verdict, Verdict::holds);
  EXPECT_THAT(found.measured, StartsWith("1.50: "));
}

TEST(TheLane, IsNotMeasuredWithoutPeers) {
  const Report made = report({suite("peers", {steady("one_way/lane/8B/single", "items_per_second", 10)})});
  EXPECT_THAT(row(made, 4, "8B, single").why, HasSubstr("no peer is installed"));
}

TEST(ATarget, SaysWhyItsSuiteGaveNothing) {
  Report made = report({});
  made.suites.push_back({"hop", Outcome::missing, "bin/bench_hop: No such file or directory", 0, {}});
  EXPECT_THAT(row(made, 6, "table update").why,
              HasSubstr("suite hop is missing: bin/bench_hop: No such file"));
  made.suites[0].outcome = Outcome::completed;
  made.suites[0].benchmarks.push_back({parse_name("table/undo"), "", {{0, {}, "the sum is wrong"}}});
  EXPECT_THAT(row(made, 6, "table update").why, HasSubstr("table/undo: the sum is wrong"));
}

TEST(ADifference, IsOfTheTimesOfOneEvent) {
  const Report made =
      report({suite("hop", {steady("table/undo", "items_per_second", 1e9 / 40),
                            steady("table/baseline:no_undo", "items_per_second", 1e9 / 26)})});
  const TargetRow found = row(made, 6, "table update");
  EXPECT_EQ(found.verdict, Verdict::holds);
  EXPECT_THAT(found.measured, StartsWith("14.0 ns: 40.0 ns, baseline:no_undo 26.0 ns"));
}

TEST(AFurtherStage, CostsWhatLongChainsTakeBeyondShortOnes) {
  const Report made =
      report({suite("pipeline", {steady("chain/baseline:inline/stages:1", "items_per_second", 1e9 / 10),
                                 steady("chain/baseline:inline/stages:8", "items_per_second", 1e9 / 31)})});
  const TargetRow found = row(made, 2, "each further stage; events");
  EXPECT_EQ(found.verdict, Verdict::holds);
  EXPECT_EQ(found.measured, "3.00 ns");
  EXPECT_THAT(row(made, 2, "each further stage; spans").why, HasSubstr("inline_spans"));
}

TEST(AnAbsoluteTarget, HoldsUpToItsLine) {
  const auto idle = [](double percent) {
    return row(report({suite("scale", {steady("idle/workers/64", "cpu_percent", percent)})}), 10,
               "64 idle workers")
        .verdict;
  };
  EXPECT_EQ(idle(0.1), Verdict::holds);
  EXPECT_EQ(idle(0.11), Verdict::falls_short);
}

TEST(Recovery, ComparesEveryStateWithTheSameLimit) {
  const Report made =
      report({suite("recovery", {steady("replacement/sluice/state:1GiB", "p50_ns", 500'000),
                                 steady("replacement/limit:fork_store/state:0B", "p50_ns", 200'000)})});
  EXPECT_EQ(row(made, 8, "1GiB of state, p50").verdict, Verdict::falls_short);
  EXPECT_THAT(row(made, 8, "1GiB of state, p99").why, HasSubstr("no p99_ns"));
}

TEST(ATarget, SaysThatItsRoundsWereDisturbed) {
  Report made = one_way(120, 100);
  EXPECT_FALSE(row(made, 4, "64B, single").disturbed);
  for (Round& round : made.suites[0].benchmarks[0].rounds)
    round.figures["others_percent"] = 50;
  EXPECT_TRUE(row(made, 4, "64B, single").disturbed);
}

}  // namespace
}  // namespace bench_test
