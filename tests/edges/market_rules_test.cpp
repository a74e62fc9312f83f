// SPDX-License-Identifier: Apache-2.0
// The market's own rules on captures that have what the recorded day has not: lost updates, several snapshots of
// a book, snapshots that say exactly what an update said. The reference computes the same answers by other means.
#include <string>

#include <gtest/gtest.h>

#include "programs.hpp"

namespace {

using programs::content;
using programs::Finished;
using programs::shell_word;

constexpr std::size_t kGaps = 5;

class MarketRules : public testing::TestWithParam<int> {
 protected:
  void simulate(const std::string& options) {
    const Finished simulator = programs::run_simulator("--out " + shell_word(scratch_ / "in") + " --seed " +
                                                       std::to_string(GetParam()) + " " + options);
    ASSERT_EQ(simulator.status, 0) << simulator.errors;
  }
  void expect_the_references_answers(const std::string& options = "") {
    const std::string inputs = programs::files_in(scratch_ / "in");
    const Finished market = programs::run_market("--input " + inputs + "--out " +
                                                 shell_word(scratch_ / "out") + " --quiet " + options);
    ASSERT_EQ(market.status, 0) << market.errors;
    const Finished reference =
        programs::run_reference("--out " + shell_word(scratch_ / "reference") + " " + inputs);
    ASSERT_EQ(reference.status, 0) << reference.errors;
    for (const std::string& file : programs::kAnswerFiles)
      EXPECT_EQ(content(scratch_ / "out" / file), content(scratch_ / "reference" / file)) << file;
  }

  programs::TemporaryDirectory scratch_;
};

TEST_P(MarketRules, CountGapsAndReplaceBooksAsTheReferenceDoes) {
  simulate("--events 30000 --gap-every 20 --snapshots 6");
  expect_the_references_answers();
  std::int64_t gaps = 0;
  for (const programs::Row& row : programs::rows(scratch_ / "out/book.tsv"))
    gaps += std::stoll(row.at(kGaps));
  EXPECT_GT(gaps, 100);
  for (const programs::Row& row : programs::rows(scratch_ / "out/event_counts.tsv")) {
    if (row.at(2) == "snapshot") {
      EXPECT_GT(std::stoi(row.at(3)), 1) << row.at(1);
    }
  }
}

TEST_P(MarketRules, HoldForDaysAndBadLinesToo) {
  simulate("--events 12000 --days 3 --gap-every 50 --snapshots 3 --bad 60 --format merged");
  expect_the_references_answers("--set stage.parse.workers=2 --set stage.book.workers=2");
}

INSTANTIATE_TEST_SUITE_P(Seeds, MarketRules, testing::Values(1, 2, 3, 4));

}  // namespace
