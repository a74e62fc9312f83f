// SPDX-License-Identifier: Apache-2.0
// market-simulator: the same bytes for a seed, and captures whose answers are known by construction.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "capture.hpp"
#include "programs.hpp"

namespace programs {
namespace {

// Column numbers of the answer files.
constexpr std::size_t kKind = 2;
constexpr std::size_t kCount = 3;
constexpr std::size_t kDropped = 3;
constexpr std::size_t kGaps = 5;
constexpr std::size_t kBookBid = 7;
constexpr std::size_t kBookAsk = 9;
constexpr std::size_t kTickerBid = 2;
constexpr std::size_t kTickerAsk = 4;

void simulate(const std::filesystem::path& out, const std::string& options) {
  const Finished finished = run_simulator("--out " + shell_word(out) + " " + options);
  ASSERT_EQ(finished.status, 0) << finished.errors;
}

void answer(const std::filesystem::path& out, const std::string& files) {
  const Finished finished = run_reference("--out " + shell_word(out) + " " + files);
  ASSERT_EQ(finished.status, 0) << finished.errors;
}

void expect_same_answers(const std::filesystem::path& left, const std::filesystem::path& right) {
  for (const std::string& name : kAnswerFiles)
    EXPECT_EQ(content(left / name), content(right / name)) << name;
}

std::int64_t counted_events(const std::filesystem::path& answers) {
  std::int64_t sum = 0;
  for (const Row& row : rows(answers / "event_counts.tsv"))
    sum += std::stoll(row.at(kCount));
  return sum;
}

void expect_books_agree_with_tickers(const std::filesystem::path& answers, std::size_t instruments) {
  const auto books = rows(answers / "book.tsv");
  const auto tickers = rows(answers / "last_ticker.tsv");
  ASSERT_EQ(books.size(), instruments);
  ASSERT_EQ(tickers.size(), instruments);
  for (std::size_t index = 0; index < instruments; ++index) {
    EXPECT_EQ(books[index].at(kBookBid), tickers[index].at(kTickerBid)) << books[index].at(1);
    EXPECT_EQ(books[index].at(kBookAsk), tickers[index].at(kTickerAsk)) << books[index].at(1);
    EXPECT_GE(std::stoi(books[index].at(kDropped)), 1) << "no update was older than the snapshot";
  }
}

TEST(MarketSimulator, GivesTheSameBytesForTheSameSeedAndOthersForAnother) {
  const TemporaryDirectory scratch;
  for (const std::string format : {"raw", "merged"}) {
    const std::string options = "--events 5000 --bad 9 --format " + format + " --seed ";
    simulate(scratch / (format + "1"), options + "7");
    simulate(scratch / (format + "2"), options + "7");
    simulate(scratch / (format + "3"), options + "8");
    for (const auto& entry : std::filesystem::directory_iterator{scratch / (format + "1")}) {
      const std::filesystem::path name = entry.path().filename();
      EXPECT_EQ(content(entry.path()), content(scratch / (format + "2") / name)) << name;
      EXPECT_NE(content(entry.path()), content(scratch / (format + "3") / name)) << name;
    }
  }
}

TEST(MarketSimulator, MakesAsManyEventsAsAskedForAndBooksThatAgreeWithTheLastTicker) {
  const TemporaryDirectory scratch;
  for (const int seed : {1, 2, 3}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::string name = std::to_string(seed);
    simulate(scratch / name, "--events 30011 --seed " + name);
    answer(scratch / ("out" + name), files_in(scratch / name));
    EXPECT_EQ(counted_events(scratch / ("out" + name)), 30011);
    expect_books_agree_with_tickers(scratch / ("out" + name), 6);
    EXPECT_TRUE(rows(scratch / ("out" + name + "/rejected.tsv")).empty());
  }
}

TEST(MarketSimulator, SimulatesManyInstrumentsInSmallCapturesToo) {
  const TemporaryDirectory scratch;
  simulate(scratch / "in", "--events 1500 --instruments 18");
  answer(scratch / "out", files_in(scratch / "in"));
  EXPECT_EQ(counted_events(scratch / "out"), 1500);
  expect_books_agree_with_tickers(scratch / "out", 18);
  std::set<std::string> kinds;
  for (const Row& row : rows(scratch / "out/event_counts.tsv"))
    kinds.insert(row.at(kKind));
  EXPECT_EQ(kinds, (std::set<std::string>{"bookTicker", "depth", "snapshot", "trade"}));
}

TEST(MarketSimulator, LosesADepthUpdateNowAndThenWithoutHarmToTheBook) {
  const TemporaryDirectory scratch;
  simulate(scratch / "in", "--events 60000 --instruments 3 --seed 5");
  answer(scratch / "out", files_in(scratch / "in"));
  int gaps = 0;
  for (const Row& row : rows(scratch / "out/book.tsv"))
    gaps += std::stoi(row.at(kGaps));
  EXPECT_GT(gaps, 0);
  expect_books_agree_with_tickers(scratch / "out", 3);
}

TEST(MarketSimulator, WritesTheSameEventsRawAndMerged) {
  const TemporaryDirectory scratch;
  simulate(scratch / "raw", "--events 20000 --days 2");
  simulate(scratch / "merged", "--events 20000 --days 2 --format merged");
  answer(scratch / "raw-out", files_in(scratch / "raw"));
  answer(scratch / "merged-out", files_in(scratch / "merged"));
  expect_same_answers(scratch / "raw-out", scratch / "merged-out");
}

TEST(MarketSimulator, SplitsAnInstrumentIntoDaysThatReadInOrderOfTime) {
  const TemporaryDirectory scratch;
  simulate(scratch / "in", "--events 10000 --instruments 2 --days 3");
  answer(scratch / "forwards", files_in(scratch / "in"));
  answer(scratch / "backwards", files_in(scratch / "in", true));
  expect_same_answers(scratch / "forwards", scratch / "backwards");
  EXPECT_EQ(counted_events(scratch / "forwards"), 10000);
  for (const Row& row : rows(scratch / "forwards/event_counts.tsv")) {
    if (row.at(kKind) == "snapshot") {
      EXPECT_EQ(row.at(kCount), "3");
    }
  }
  expect_books_agree_with_tickers(scratch / "forwards", 2);
}

TEST(MarketSimulator, SprinklesMalformedLinesThatAreRejectedAndChangeNothingElse) {
  const TemporaryDirectory scratch;
  for (const std::string format : {"raw", "merged"}) {
    SCOPED_TRACE(format);
    const std::string options = "--events 10000 --format " + format;
    simulate(scratch / (format + "-good"), options);
    simulate(scratch / (format + "-bad"), options + " --bad 90");
    answer(scratch / (format + "-good-out"), files_in(scratch / (format + "-good")));
    answer(scratch / (format + "-bad-out"), files_in(scratch / (format + "-bad")));
    expect_same_answers(scratch / (format + "-good-out"), scratch / (format + "-bad-out"));
    EXPECT_EQ(rows(scratch / (format + "-bad-out/rejected.tsv")).size(), 90U);
  }
}

TEST(MarketSimulator, WritesSnapshotsOfNearly64KiBAndNoLongerRecord) {
  const TemporaryDirectory scratch;
  simulate(scratch / "in", "--events 40000");
  std::size_t longest = 0;
  for (const auto& entry : std::filesystem::directory_iterator{scratch / "in"}) {
    reference::Capture capture{entry.path().string()};
    for (std::string line; capture.next(line);)
      longest = std::max(longest, line.size());
  }
  EXPECT_GT(longest, 56U * 1024);
  EXPECT_LE(longest, 64U * 1024);
}

TEST(MarketSimulator, EndsWith2AndAHintAfterAWrongOption) {
  for (const std::string options : {"--no-such-option", "--out x --format json", "--out x --instruments 0"}) {
    const Finished finished = run_simulator(options);
    EXPECT_EQ(finished.status, 2) << options;
    EXPECT_NE(finished.errors.find("--help"), std::string::npos) << finished.errors;
  }
}

}  // namespace
}  // namespace programs
