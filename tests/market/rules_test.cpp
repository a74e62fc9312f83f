// SPDX-License-Identifier: Apache-2.0
// The exchange's rules that a recorded day without trouble does not need: gaps in the sequence, updates that overlap a
// snapshot, a second snapshot. The market and its reference, which share no code, agree on them, and so do the answers
// that follow from the rules.
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "programs.hpp"

namespace programs {
namespace {

// Of book.tsv.
struct Column {
  static constexpr std::size_t kSnapshotId = 2;
  static constexpr std::size_t kDropped = 3;
  static constexpr std::size_t kApplied = 4;
  static constexpr std::size_t kGaps = 5;
  static constexpr std::size_t kLastId = 6;
  static constexpr std::size_t kBidPrice = 7;
  static constexpr std::size_t kBidQuantity = 8;
  static constexpr std::size_t kBidLevels = 11;
  static constexpr std::size_t kAskLevels = 12;
};

class MarketRules : public testing::Test {
 protected:
  // The answers of both programs to these captures, which must be the same: where the market's are.
  std::filesystem::path answers_to(const std::string& captures) {
    const Finished market =
        run_market("--input " + captures + " --out " + shell_word(scratch_ / "market") + " --quiet");
    EXPECT_EQ(market.status, 0) << market.errors;
    const Finished reference = run_reference("--out " + shell_word(scratch_ / "reference") + " " + captures);
    EXPECT_EQ(reference.status, 0) << reference.errors;
    for (const std::string& file : kAnswerFiles)
      EXPECT_EQ(content(scratch_ / "market" / file), content(scratch_ / "reference" / file)) << file;
    return scratch_ / "market";
  }

  // The one book that comes of these lines of a capture.
  Row book_of(const std::string& name, const std::string& lines) {
    const std::filesystem::path capture = scratch_ / name;
    std::ofstream{capture} << lines;
    const std::vector<Row> books = rows(answers_to(shell_word(capture)) / "book.tsv");
    EXPECT_EQ(books.size(), 1U);
    return books.empty() ? Row(13) : books.front();
  }

  TemporaryDirectory scratch_;
};

std::string at(int millisecond, const std::string& json) {
  return std::to_string(1'723'161'256'000'000'000 + millisecond * 1'000'000LL) + " " + json + "\n";
}

std::string spot_update(int millisecond, int first, int last, const std::string& bids) {
  return at(millisecond,
            R"({"stream":"aaabbb@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"AAABBB","U":)" +
                std::to_string(first) + R"(,"u":)" + std::to_string(last) + R"(,"b":[)" + bids +
                R"(],"a":[]}})");
}
std::string futures_update(int millisecond, int first, int last, int previous, const std::string& bids) {
  return at(millisecond,
            R"({"stream":"aaabbb@depth@0ms","data":{"e":"depthUpdate","E":1,"T":1,"s":"AAABBB","U":)" +
                std::to_string(first) + R"(,"u":)" + std::to_string(last) + R"(,"pu":)" +
                std::to_string(previous) + R"(,"b":[)" + bids + R"(],"a":[]}})");
}
std::string spot_snapshot(int millisecond, int id, const std::string& bids, const std::string& asks = "") {
  return at(millisecond, R"({"lastUpdateId":)" + std::to_string(id) + R"(,"bids":[)" + bids +
                             R"(],"asks":[)" + asks + "]}");
}
std::string futures_snapshot(int millisecond, int id, const std::string& bids) {
  return at(millisecond, R"({"lastUpdateId":)" + std::to_string(id) + R"(,"E":1,"T":1,"bids":[)" + bids +
                             R"(],"asks":[]})");
}

TEST_F(MarketRules, GiveTheReferencesAnswersToSimulatedCapturesWithLostUpdates) {
  int gaps = 0;
  for (const int seed : {5, 6}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::filesystem::path captures = scratch_ / std::to_string(seed);
    const Finished simulated = run_simulator(
        "--out " + shell_word(captures) + " --events 60000 --instruments 3 --seed " + std::to_string(seed));
    ASSERT_EQ(simulated.status, 0) << simulated.errors;
    for (const Row& row : rows(answers_to(files_in(captures)) / "book.tsv"))
      gaps += std::stoi(row.at(Column::kGaps));
  }
  EXPECT_GT(gaps, 0) << "the captures have none";
}

TEST_F(MarketRules, CountAGapInASpotSequence) {
  const Row book =
      book_of("spot_aaabbb_20240808",
              spot_snapshot(1, 100, R"(["5","1"])") + spot_update(2, 101, 102, R"(["6","1"])") +
                  spot_update(3, 103, 104, R"(["7","1"])") + spot_update(4, 106, 107, R"(["8","2"])"));
  EXPECT_EQ(book.at(Column::kApplied), "3");
  EXPECT_EQ(book.at(Column::kGaps), "1");
  EXPECT_EQ(book.at(Column::kLastId), "107");
  EXPECT_EQ(book.at(Column::kBidPrice), "8");
}

TEST_F(MarketRules, CountAGapInAFuturesSequence) {
  const Row book = book_of("usdm_aaabbb_20240808", futures_snapshot(1, 100, R"(["5","1"])") +
                                                       futures_update(2, 99, 103, 98, R"(["6","1"])") +
                                                       futures_update(3, 110, 112, 103, R"(["7","1"])") +
                                                       futures_update(4, 113, 115, 111, R"(["8","1"])"));
  EXPECT_EQ(book.at(Column::kApplied), "3");
  EXPECT_EQ(book.at(Column::kGaps), "1") << "what it says of its predecessor counts, not its own first id";
}

TEST_F(MarketRules, DropASpotUpdateThatTheSnapshotHasAndKeepOneThatOverlapsIt) {
  const Row book =
      book_of("spot_aaabbb_20240808",
              spot_update(1, 97, 99, R"(["6","1"])") + spot_update(2, 100, 100, R"(["7","1"])") +
                  spot_update(3, 99, 101, R"(["8","1"])") + spot_snapshot(4, 100, R"(["5","1"])") +
                  spot_update(5, 102, 103, R"(["9","1"])"));
  EXPECT_EQ(book.at(Column::kDropped), "2");
  EXPECT_EQ(book.at(Column::kApplied), "2");
  EXPECT_EQ(book.at(Column::kGaps), "0");
  EXPECT_EQ(book.at(Column::kBidLevels), "3") << "5, 8 and 9";
}

TEST_F(MarketRules, KeepAFuturesUpdateThatEndsWithTheSnapshot) {
  const Row book = book_of("usdm_aaabbb_20240808", futures_update(1, 97, 99, 96, R"(["6","1"])") +
                                                       futures_update(2, 100, 100, 99, R"(["7","1"])") +
                                                       futures_snapshot(3, 100, R"(["5","1"])"));
  EXPECT_EQ(book.at(Column::kDropped), "1");
  EXPECT_EQ(book.at(Column::kApplied), "1");
  EXPECT_EQ(book.at(Column::kBidPrice), "7");
}

TEST_F(MarketRules, BeginTheBookAnewWithASecondSnapshot) {
  const Row book = book_of("spot_aaabbb_20240808",
                           spot_snapshot(1, 100, R"(["5","1"],["9","1"])", R"(["10","1"],["11","1"])") +
                               spot_update(2, 101, 102, R"(["8","1"])") +
                               spot_snapshot(3, 200, R"(["6","3"])", R"(["12","1"])") +
                               spot_update(4, 201, 202, R"(["4","1"])"));
  EXPECT_EQ(book.at(Column::kSnapshotId), "200");
  EXPECT_EQ(book.at(Column::kGaps), "0") << "the first update behind a snapshot has no predecessor";
  EXPECT_EQ(book.at(Column::kBidPrice), "6") << "the levels of the first snapshot are gone";
  EXPECT_EQ(book.at(Column::kBidQuantity), "3");
  EXPECT_EQ(book.at(Column::kBidLevels), "2");
  EXPECT_EQ(book.at(Column::kAskLevels), "1");
}

}  // namespace
}  // namespace programs
