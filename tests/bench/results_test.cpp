// SPDX-License-Identifier: Apache-2.0
// Names, medians, spreads and ratios: what a result says.
#include <figure_text.hpp>
#include <groups.hpp>
#include <suite_output.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "made_up.hpp"

namespace bench_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(AName, IsGroupSubjectAndParameters) {
  const Name name = parse_name("one_way/peer:boost_spsc/64B/single");
  EXPECT_EQ(name.group, "one_way");
  EXPECT_EQ(name.kind, Kind::peer);
  EXPECT_EQ(name.subject, "boost_spsc");
  EXPECT_EQ(name.parameters, "64B/single");
  EXPECT_EQ(name.text(), "one_way/peer:boost_spsc/64B/single");
  EXPECT_EQ(parse_name("table/undo").kind, Kind::ours);
  EXPECT_EQ(parse_name("table/baseline:no_undo").kind, Kind::baseline);
  EXPECT_EQ(parse_name("round_trip/limit:one_line/64B").subject, "one_line");
}

TEST(AName, LosesWhatGoogleBenchmarkAppends) {
  EXPECT_EQ(parse_name("idle/workers/64/iterations:1/real_time").text(), "idle/workers/64");
  EXPECT_EQ(parse_name("market/sluice/min_time:0.100/manual_time").text(), "market/sluice");
  EXPECT_EQ(parse_name("lanes/worker/idle:7/active:1/real_time").text(), "lanes/worker/idle:7/active:1");
}

TEST(ASpread, IsTheMedianWithTheLeastAndTheMost) {
  const Spread odd = *spread_of(benchmark("a/b", "p50_ns", {5, 1, 9}), "p50_ns");
  EXPECT_EQ(odd.median, 5);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 9);
  EXPECT_EQ(odd.rounds, 3U);
  EXPECT_EQ(spread_of(benchmark("a/b", "p50_ns", {4, 1, 9, 2}), "p50_ns")->median, 3);
  EXPECT_FALSE(spread_of(benchmark("a/b", "p50_ns", {5}), "p99_ns"));
}

TEST(ASpread, LeavesOutRoundsThatFailed) {
  Benchmark some = benchmark("a/b", "p50_ns", {5, 6, 7});
  some.rounds[2].fault = "the checksum is wrong";
  EXPECT_EQ(spread_of(some, "p50_ns")->rounds, 2U);
  EXPECT_EQ(some.fault(), "the checksum is wrong");
}

TEST(TheFigureThatCounts, IsTheMedianTimeThenTheRateThenASizeThenTheTime) {
  EXPECT_EQ(main_figure(benchmark("a/b", "p50_ns", {1})), "p50_ns");
  EXPECT_EQ(main_figure(benchmark("a/b", "items_per_second", {1})), "items_per_second");
  EXPECT_EQ(main_figure(benchmark("a/b", "overhead_bytes", {1})), "overhead_bytes");
  EXPECT_EQ(main_figure(benchmark("a/b", "cpu_s", {1})), "time_ns");
  EXPECT_TRUE(more_is_better("items_per_second"));
  EXPECT_FALSE(more_is_better("p50_ns"));
}

TEST(ARound, IsDisturbedWhenOthersTookMoreThanFivePercent) {
  Benchmark some = benchmark("a/b", "p50_ns", {1, 1, 1});
  some.rounds[0].figures["others_percent"] = 4.9;
  some.rounds[1].figures["others_percent"] = 3;
  some.rounds[1].figures["steal_percent"] = 2.5;
  EXPECT_EQ(disturbed_rounds(some), 1U);
  EXPECT_THAT(telling_figures(some), ElementsAre("p50_ns"));
}

TEST(OddRounds, AreLeftOutOfTheMedianWhileThereAreOthers) {
  std::vector<SuiteResult> suites(1);
  suites[0].benchmarks.resize(2);
  const auto add = [](Benchmark& benchmark, double trip_ns, double time_ns) {
    benchmark.rounds.push_back({1, {{"line_trip_ns", trip_ns}, {"time_ns", time_ns}}, {}});
  };
  add(suites[0].benchmarks[0], 100, 10);
  add(suites[0].benchmarks[0], 420, 70);
  add(suites[0].benchmarks[0], 199, 20);
  add(suites[0].benchmarks[0], 150, 15);
  add(suites[0].benchmarks[1], 420, 70);
  add(suites[0].benchmarks[1], 0, 90);  // It could not be told.
  suites[0].benchmarks[1].rounds[1].fault = "it failed";
  note_odd_rounds(suites);
  const std::optional<Spread> some = spread_of(suites[0].benchmarks[0], "time_ns");
  ASSERT_TRUE(some);
  EXPECT_EQ(some->median, 15);
  EXPECT_EQ(some->most, 20);
  EXPECT_EQ(some->rounds, 3U);
  EXPECT_EQ(disturbed_rounds(suites[0].benchmarks[0]), 1U);
  const std::optional<Spread> all_odd = spread_of(suites[0].benchmarks[1], "time_ns");
  ASSERT_TRUE(all_odd);
  EXPECT_EQ(all_odd->median, 70);
  EXPECT_EQ(disturbed_rounds(suites[0].benchmarks[1]), 1U);
}

// A line that took half as long is of another machine as well: its figures must not stand beside those of the others.
TEST(OddRounds, AreTheNearOnesWhereMostAreFar) {
  std::vector<SuiteResult> suites(1);
  suites[0].benchmarks.resize(1);
  for (const auto& [trip_ns, time_ns] : {std::pair{120.0, 40.0}, {50.0, 9.0}, {130.0, 44.0}, {110.0, 42.0}})
    suites[0].benchmarks[0].rounds.push_back({1, {{"line_trip_ns", trip_ns}, {"time_ns", time_ns}}, {}});
  EXPECT_EQ(usual_line_trip_ns(suites), 120);
  note_odd_rounds(suites);
  const std::optional<Spread> spread = spread_of(suites[0].benchmarks[0], "time_ns");
  ASSERT_TRUE(spread);
  EXPECT_EQ(spread->median, 42);
  EXPECT_EQ(spread->least, 40);
  EXPECT_EQ(disturbed_rounds(suites[0].benchmarks[0]), 1U);
}

TEST(AGroup, ComparesWhatHasTheSameParameters) {
  const SuiteResult made = suite("peers", {steady("one_way/peer:slow/8B", "items_per_second", 10),
                                           steady("one_way/lane/8B", "items_per_second", 60),
                                           steady("one_way/peer:fast/8B", "items_per_second", 40),
                                           steady("one_way/baseline:bare/8B", "items_per_second", 80),
                                           steady("one_way/limit:stream/8B", "items_per_second", 120),
                                           steady("one_way/lane/64B", "items_per_second", 7)});
  const std::vector<Group> groups = grouped(made);
  ASSERT_EQ(groups.size(), 1U);
  ASSERT_EQ(groups[0].setups.size(), 2U);
  std::vector<std::string> order;
  for (const Row& row : groups[0].setups[0].rows)
    order.push_back(row.benchmark->name.subject_text());
  EXPECT_THAT(order, ElementsAre("lane", "limit:stream", "baseline:bare", "peer:fast", "peer:slow"));
  const Row& lane = groups[0].setups[0].rows[0];
  EXPECT_DOUBLE_EQ(*lane.to_limit, 0.5);
  EXPECT_DOUBLE_EQ(*lane.to_baseline, 0.75);
  EXPECT_DOUBLE_EQ(*lane.to_best_peer, 1.5);
  EXPECT_FALSE(groups[0].setups[1].rows[0].to_limit) << "other parameters are not compared";
}

TEST(AGroup, TakesTheLeastTimeForTheBest) {
  const SuiteResult made = suite("peers", {steady("round_trip/lane/64B", "p50_ns", 300),
                                           steady("round_trip/limit:one_line/64B", "p50_ns", 200),
                                           steady("round_trip/limit:two_lines/64B", "p50_ns", 250)});
  EXPECT_DOUBLE_EQ(*grouped(made)[0].setups[0].rows[0].to_limit, 1.5);
}

TEST(AFigure, IsWrittenWithThreeDigitsAndItsUnit) {
  EXPECT_EQ(figure_text("items_per_second", 96.23e6), "96.2 M/s");
  EXPECT_EQ(figure_text("items_per_second", 2.346e9), "2.35 G/s");
  EXPECT_EQ(figure_text("p50_ns", 235.2), "235 ns");
  EXPECT_EQ(figure_text("p99_ns", 18360), "18.4 us");
  EXPECT_EQ(figure_text("cpu_s", 0.0213), "21.3 ms");
  EXPECT_EQ(figure_text("cpu_ns_per_item", 48), "48.0 ns");
  EXPECT_EQ(figure_text("restored_bytes_per_second", 1.2e9), "1.20 GB/s");
  EXPECT_EQ(figure_text("overhead_bytes", 4608), "4.50 KiB");
  EXPECT_EQ(figure_text("cpu_percent", 0.08), "0.08 %");
  EXPECT_EQ(range_text("items_per_second", 94.1e6, 98.04e6), "94.1..98.0 M/s");
}

TEST(ASuitesOutput, KeepsEveryRoundAndNoAggregate) {
  const SuiteOutput output = read_suite_output(R"({"context": {}, "benchmarks": [
    {"name": "a/b/real_time", "run_name": "a/b/real_time", "run_type": "iteration", "repetition_index": 0,
     "iterations": 7, "real_time": 2.5, "cpu_time": 1, "time_unit": "us", "items_per_second": 4e5, "label": "told"},
    {"name": "a/b/real_time", "run_name": "a/b/real_time", "run_type": "iteration", "repetition_index": 1,
     "iterations": 8, "real_time": 3.5, "cpu_time": 1, "time_unit": "us", "items_per_second": 3e5},
    {"name": "a/b/real_time_cv", "run_name": "a/b/real_time", "run_type": "aggregate", "steal_percent": NaN
    },
    {"name": "c/d", "run_name": "c/d", "run_type": "iteration", "error_occurred": true, "error_message": "lost 3"}]})");
  EXPECT_TRUE(output.whole);
  ASSERT_EQ(output.benchmarks.size(), 2U);
  EXPECT_EQ(output.benchmarks[0].label, "told");
  ASSERT_EQ(output.benchmarks[0].rounds.size(), 2U);
  EXPECT_EQ(output.benchmarks[0].rounds[1].iterations, 8U);
  EXPECT_EQ(output.benchmarks[0].rounds[1].figures.at("time_ns"), 3500);
  EXPECT_EQ(output.benchmarks[0].rounds[0].figures.at("items_per_second"), 4e5);
  EXPECT_EQ(output.benchmarks[0].rounds[0].figures.count("repetition_index"), 0U);
  EXPECT_EQ(output.benchmarks[1].fault(), "lost 3");
}

TEST(ASuitesOutput, IsKeptAsFarAsItGoesWhenItIsCutOff) {
  const std::string whole = R"({
  "context": {},
  "benchmarks": [
    {
      "name": "a/b", "run_type": "iteration", "real_time": 1
    },
    {
      "name": "a/b", "run_type": "iteration", "real_time": 2
    },
    {
      "name": "a/b", "run_)";
  const SuiteOutput output = read_suite_output(whole);
  EXPECT_FALSE(output.whole);
  ASSERT_EQ(output.benchmarks.size(), 1U);
  EXPECT_EQ(output.benchmarks[0].rounds.size(), 2U);
  EXPECT_THAT(read_suite_output("").benchmarks, IsEmpty());
  EXPECT_THAT(read_suite_output("{\"contex").benchmarks, IsEmpty());
}

TEST(ASuitesWords, AreThoseThatGoogleBenchmarkDidNotSay) {
  EXPECT_EQ(
      own_words(
          "2026-11-22T19:30:20+00:00\nRunning bin/bench_lane\nRun on (2 X 2596.12 MHz CPU s)\nCPU Caches:\n"
          "  L1 Data 48 KiB (x2)\nLoad Average: 4.36, 6.33, 6.00\n***WARNING*** Library was built as DEBUG.\n"
          "peer zeromq is missing\n"),
      "peer zeromq is missing");
}

}  // namespace
}  // namespace bench_test
