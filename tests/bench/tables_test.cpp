// SPDX-License-Identifier: Apache-2.0
// What the terminal shows: everything, in eighty columns, with colours only if asked for.
#include <sstream>
#include <string>
#include <tables.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "made_up.hpp"

namespace bench_test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::size_t widest(const std::string& text) {
  std::istringstream lines{text};
  std::size_t most = 0;
  for (std::string line; std::getline(lines, line);)
    most = std::max(most, line.size());
  return most;
}

Report wide_report() {
  const std::string long_name = "peer:a_product_with_a_name_that_is_longer_than_any_column_could_be";
  Report made = report({suite(
      "peers", {benchmark("one_way/lane/64B/single", "items_per_second", {96.2e6, 94.1e6, 98e6, 96e6, 97e6}),
                steady("one_way/baseline:bare/64B/single", "items_per_second", 139e6),
                steady("one_way/" + long_name + "/64B/single", "items_per_second", 80e6),
                steady("round_trip/lane/64B", "p50_ns", 240)})});
  made.suites[0].benchmarks[3].rounds[0].figures["p99.9_ns"] = 812;
  made.suites[0].benchmarks[0].rounds[0].figures["others_percent"] = 90;
  made.suites.push_back({"hop",
                         Outcome::failed,
                         "it died of signal 11 (Segmentation fault); it said: " + std::string(300, 'x'),
                         1,
                         {}});
  return made;
}

TEST(TheResults, TellMedianSpreadRatiosAndDisturbance) {
  const std::string text = results_table(wide_report(), false);
  EXPECT_THAT(text, ContainsRegex("lane +96.2 M/s +94.1..98.0 M/s +1! +0.69 +1.20\n"));
  EXPECT_THAT(text, ContainsRegex("lane 64B +812 ns"));
  EXPECT_THAT(text, HasSubstr("hop: failed\n  it died of signal 11"));
}

TEST(TheResults, FitEightyColumnsWithoutBlanksAtLineEnds) {
  const Report made = wide_report();
  for (const std::string& text :
       {results_table(made, false), summary(made), targets_table(targets(made), false),
        differences_table(made, made, false)}) {
    EXPECT_LE(widest(text), 80U) << text;
    EXPECT_THAT(text, Not(HasSubstr(" \n")));
  }
}

TEST(Colours, AreThereOnlyIfAskedFor) {
  const Report made = wide_report();
  EXPECT_THAT(results_table(made, false), Not(HasSubstr("\x1b")));
  EXPECT_THAT(results_table(made, true), HasSubstr("\x1b[32m1.20"));
}

TEST(TheSummary, CountsDisturbedRounds) {
  EXPECT_THAT(summary(wide_report()),
              AllOf(HasSubstr("2 suites, 4 benchmarks, 20 rounds"), HasSubstr("In 1 (marked")));
}

TEST(TheTargets, AreCountedAtTheEnd) {
  const std::string text = targets_table(targets(wide_report()), false);
  EXPECT_THAT(text, ContainsRegex("holds +64B, single +at least 1.20 of the best peer\n +1.20: 96.2 M/s"));
  EXPECT_THAT(text, HasSubstr("1 of "));
}

TEST(TheDifferences, AreCalledNoiseUnlessTheyExceedIt) {
  const Report before = report(
      {suite("lane", {steady("a/b/1", "items_per_second", 10), steady("a/b/2", "items_per_second", 10)})});
  const Report after = report(
      {suite("lane", {steady("a/b/1", "items_per_second", 20), steady("a/b/2", "items_per_second", 10)})});
  const std::string text = differences_table(before, after, false);
  EXPECT_THAT(text, ContainsRegex("a/b/1 +10.0 /s +20.0 /s +2.00 +better\n"));
  EXPECT_THAT(text, ContainsRegex("a/b/2 +10.0 /s +10.0 /s +1.00 +noise\n"));
  EXPECT_THAT(text, HasSubstr("1 of 2 figures"));
}

}  // namespace
}  // namespace bench_test
