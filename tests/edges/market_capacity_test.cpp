// SPDX-License-Identifier: Apache-2.0
// Captures that are large in one direction: a day of bars, minutes without a snapshot, deep books, one line
// without end. The answers are those of the reference.
#include <fstream>
#include <regex>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "programs.hpp"

namespace {

using programs::content;
using programs::Finished;
using programs::shell_word;
using testing::HasSubstr;

constexpr std::int64_t kStartMs = 1'723'075'200'000;

std::string line(std::int64_t ms, const std::string& json) {
  return std::to_string((kStartMs + ms) * 1'000'000) + " " + json + "\n";
}

std::string trade(std::int64_t id, std::int64_t ms, const std::string& price = "100.5") {
  return line(ms, R"({"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":)" + std::to_string(id) +
                      R"(,"p":")" + price + R"(","q":"0.01","T":)" + std::to_string(kStartMs + ms) +
                      R"(,"m":false}})");
}

std::string update(std::int64_t first, std::int64_t last, std::int64_t ms, const std::string& bids) {
  return line(ms, R"({"stream":"ethusdt@depth@100ms","data":{"s":"ETHUSDT","U":)" + std::to_string(first) +
                      R"(,"u":)" + std::to_string(last) + R"(,"b":[)" + bids + R"(],"a":[["10.2","1"]]}})");
}

std::string snapshot(std::int64_t id, std::int64_t ms, int levels) {
  std::string bids;
  std::string asks;
  for (int i = 0; i < levels; ++i) {
    const std::string comma = i == 0 ? "" : ",";
    bids += comma + "[\"" + std::to_string(10000 - i) + ".5\",\"1\"]";
    asks += comma + "[\"" + std::to_string(10001 + i) + ".5\",\"1\"]";
  }
  return line(
      ms, R"({"lastUpdateId":)" + std::to_string(id) + R"(,"bids":[)" + bids + R"(],"asks":[)" + asks + "]}");
}

class MarketCapacity : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::ofstream file{scratch_ / name, std::ios::binary};
    file << text;
    inputs_ += shell_word(scratch_ / name) + " ";
  }
  Finished run(const std::string& options = "") const {
    return programs::run_market("--input " + inputs_ + "--out " + shell_word(scratch_ / "out") + " --quiet " +
                                options);
  }
  void expect_the_references_answers() const {
    const Finished reference =
        programs::run_reference("--out " + shell_word(scratch_ / "reference") + " " + inputs_);
    ASSERT_EQ(reference.status, 0) << reference.errors;
    for (const std::string& file : programs::kAnswerFiles)
      EXPECT_TRUE(content(scratch_ / "out" / file) == content(scratch_ / "reference" / file)) << file;
  }
  void expect_answers() const {
    const Finished market = run();
    ASSERT_EQ(market.status, 0) << market.output << market.errors;
    expect_the_references_answers();
  }

  programs::TemporaryDirectory scratch_;
  std::string inputs_;
};

TEST_F(MarketCapacity, HoldsADayWithATradeInEachSecond) {
  std::string text;
  for (std::int64_t s = 0; s < 86'400; ++s)
    text += trade(s, s * 1000);
  write("spot_btcusdt_20240808", text);
  expect_answers();
  EXPECT_EQ(programs::rows(scratch_ / "out/bars_1s.tsv").size(), 86'400U);
}

// Bars that made way already, before and behind others, and seconds before 1970.
TEST_F(MarketCapacity, AddsTradesThatComeHoursLateToTheirBars) {
  std::string text;
  for (std::int64_t i = 0; i < 20'000; ++i) {
    const std::int64_t second = i % 5 == 0 ? i * 7919 % 3000 : i / 8;
    text +=
        trade(i, second * 1000 + i % 1000, std::to_string(100 + i * 31 % 17) + "." + std::to_string(i % 10));
  }
  text +=
      trade(20'000, -kStartMs - 5000) + trade(20'001, -kStartMs - 4001, "7") + trade(20'002, 1, "0.00000001");
  write("spot_btcusdt_20240808", text);
  expect_answers();
}

TEST_F(MarketCapacity, HoldsTheUpdatesOfTwelveMinutesThatWaitForASnapshot) {
  std::string text;
  for (std::int64_t i = 0; i < 7200; ++i) {
    std::string bids;
    for (std::int64_t level = 0; level < 20; ++level) {
      if (level > 0) bids += ",";
      bids += "[\"" + std::to_string(1000 + (i * 37 + level * 11) % 4000) + ".5\",\"" +
              std::to_string((i + level) % 3) + "\"]";
    }
    text += update(i * 5 + 1, i * 5 + (i % 100 == 99 ? 4 : 5), i * 100, bids);
  }
  write("spot_ethusdt_20240808",
        text + snapshot(18'003, 720'000, 5000) + update(36'001, 36'005, 720'100, ""));
  expect_answers();
  const auto book = programs::rows(scratch_ / "out/book.tsv");
  ASSERT_EQ(book.size(), 1U);
  EXPECT_EQ(book[0].at(3), "3600") << "updates that the snapshot contains";
  EXPECT_EQ(book[0].at(4), "3601") << "updates that were applied";
}

TEST_F(MarketCapacity, HoldsTwelveMinutesWhoseSnapshotWasNeverRecorded) {
  std::string text;
  for (std::int64_t i = 0; i < 7200; ++i)
    text += update(i + 1, i + 1, i * 100, R"(["10.1","1"])");
  write("spot_ethusdt_20240808", text);
  expect_answers();
}

// Which of the levels that wait will hold depends on the snapshot's id.
TEST_F(MarketCapacity, AppliesWaitingUpdatesThatCameOutOfOrderAsTheReferenceDoes) {
  for (const int id : {5, 15, 25, 35, 45}) {
    std::string text;
    for (const int last : {40, 20, 30, 10, 30, 20})
      text += update(last - 9, last, last,
                     "[\"9." + std::to_string(last % 3) + "\",\"" + std::to_string(last) + "\"]");
    const std::string name = "spot_eth" + std::to_string(id) + "_20240808";
    write(name, text + snapshot(id, 100, 3));
  }
  expect_answers();
}

TEST_F(MarketCapacity, HoldsTheDeepestBooksOfTenInstruments) {
  for (int k = 0; k < 10; ++k)
    write("spot_sym" + std::to_string(k) + "usdt_20240808", snapshot(1, k, 5000));
  expect_answers();
}

TEST_F(MarketCapacity, PrintsARemedyForAFullTableThatWorks) {
  write("spot_ethusdt_20240808", snapshot(1, 1, 3000));
  std::string options = "--set oversize=stop --set stage.book.table.rows=100";
  // Each remedy doubles the rows.
  for (int attempt = 0; attempt < 10; ++attempt) {
    const Finished market = run(options);
    if (market.status == 0) {
      EXPECT_GT(attempt, 0) << "no table was full";
      return expect_the_references_answers();
    }
    const std::regex remedy{
        R"(raise (--set stage\.book\.table\.rows=\d+) and (--set stage\.book\.state\.bytes=\w+))"};
    std::smatch found;
    ASSERT_TRUE(std::regex_search(market.errors, found, remedy)) << market.errors;
    options = "--set oversize=stop " + found[1].str() + " " + found[2].str();
  }
  FAIL() << "no remedy worked: " << options;
}

TEST_F(MarketCapacity, RejectsALineOfTenMegabytesAsTheReferenceDoes) {
  std::string long_line;
  long_line.resize(10'000'000, 'x');
  std::string tabs;
  tabs.resize(3'000'000, '\t');
  write("spot_btcusdt_20240808", trade(1, 0) + long_line + "\n" + trade(2, 1) + tabs);
  expect_answers();
  const auto rejected = programs::rows(scratch_ / "out/rejected.tsv");
  const auto expected = programs::rows(scratch_ / "reference/rejected.tsv");
  ASSERT_EQ(rejected.size(), 2U);
  ASSERT_EQ(expected.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_EQ(rejected[i].at(1), expected[i].at(1)) << "the line's number";
}

TEST_F(MarketCapacity, GoesOnBehindAnEventThatIsTooLongForALaneAndNamesTheSettingThatWouldTakeIt) {
  write("spot_btcusdt_20240808", trade(1, 0) + snapshot(1, 1, 50'000) + trade(2, 2));
  const Finished market = run();
  EXPECT_EQ(market.status, 1);
  EXPECT_THAT(market.errors, HasSubstr("line 2"));
  EXPECT_THAT(market.errors, HasSubstr("--set stage.parse.lane.bytes="));
  EXPECT_THAT(content(scratch_ / "out/trades.tsv"), HasSubstr("BTCUSDT\t2\t"));
  EXPECT_EQ(programs::rows(scratch_ / "out/rejected.tsv").size(), 1U);
}

}  // namespace
