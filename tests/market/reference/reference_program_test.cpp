// SPDX-License-Identifier: Apache-2.0
// market-reference against answers that were computed with other means, and what it does about bad input.
#include <string>

#include <gtest/gtest.h>

#include "programs.hpp"

namespace programs {
namespace {

void expect_answers(const std::filesystem::path& found, const std::filesystem::path& expected) {
  for (const std::string& name : kAnswerFiles) {
    EXPECT_EQ(content(found / name), content(expected / name)) << name << " differs";
  }
}

TEST(MarketReference, GivesTheAnswersOfTheRealCapture) {
  const auto data = real_data();
  if (!data) GTEST_SKIP() << "no real captures: set SLUICE_TEST_DATA to the directory that holds binance/";
  const TemporaryDirectory scratch;
  const std::string captures = shell_word(*data / "binance") + "/*.gz";
  const Finished finished = run_reference("--out " + shell_word(scratch / "out") + " " + captures);
  ASSERT_EQ(finished.status, 0) << finished.errors;
  expect_answers(scratch / "out", *data / "binance/answers");
  EXPECT_TRUE(rows(scratch / "out/rejected.tsv").empty());
}

TEST(MarketReference, GivesTheAnswersOfTheMergedFixtureAlsoFromStandardInput) {
  const auto data = real_data();
  if (!data) GTEST_SKIP() << "no real captures: set SLUICE_TEST_DATA to the directory that holds binance/";
  const TemporaryDirectory scratch;
  const std::string fixture = shell_word(*data / "binance/fixture_first20000.tsv.zst");
  for (const std::string& input : {fixture, "- <" + fixture}) {
    const Finished finished = run_reference("--out " + shell_word(scratch / "out") + " " + input);
    ASSERT_EQ(finished.status, 0) << finished.errors;
    expect_answers(scratch / "out", *data / "binance/answers_fixture20000");
  }
}

TEST(MarketReference, TakesAMergedFileForOneWhateverItsName) {
  const TemporaryDirectory scratch;
  const std::filesystem::path named_like_raw = scratch / "merged_all_20250303.tsv.zst";
  ASSERT_EQ(run_simulator("--events 2000 --format merged --out " + shell_word(scratch / "")).status, 0);
  std::filesystem::rename(scratch / "capture.tsv.zst", named_like_raw);
  ASSERT_EQ(run_reference("--out " + shell_word(scratch / "out") + " " + shell_word(named_like_raw)).status,
            0);
  EXPECT_TRUE(rows(scratch / "out/rejected.tsv").empty());
  EXPECT_EQ(rows(scratch / "out/book.tsv").size(), 6U);
}

TEST(MarketReference, EndsWith1AndTheNameOfAFileThatCannotBeOpened) {
  const TemporaryDirectory scratch;
  const Finished finished =
      run_reference("--out " + shell_word(scratch / "out") + " /nowhere/spot_x_20240101.gz");
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.errors.find("/nowhere/spot_x_20240101.gz"), std::string::npos) << finished.errors;
}

TEST(MarketReference, KeepsWhatItReadOfATruncatedArchiveAndEndsWith1) {
  const TemporaryDirectory scratch;
  const std::string capture = (scratch / "capture.tsv.zst").string();
  const std::string directory = (scratch / "").string();
  ASSERT_EQ(run_simulator("--events 20000 --format merged --out " + directory).status, 0);
  std::filesystem::resize_file(capture, std::filesystem::file_size(capture) / 2);
  const Finished finished = run_reference("--out " + shell_word(scratch / "out") + " " + capture);
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.errors.find(capture), std::string::npos) << finished.errors;
  EXPECT_FALSE(rows(scratch / "out/event_counts.tsv").empty());
  EXPECT_TRUE(rows(scratch / "out/rejected.tsv").empty()) << "the line that the cut left is no bad line";
}

TEST(MarketReference, EndsWith2AndAHintAfterAWrongOption) {
  const Finished finished = run_reference("--no-such-option");
  EXPECT_EQ(finished.status, 2);
  EXPECT_NE(finished.errors.find("--help"), std::string::npos) << finished.errors;
}

}  // namespace
}  // namespace programs
