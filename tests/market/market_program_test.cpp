// SPDX-License-Identifier: Apache-2.0
// The market program as its users run it: the right answers, and what bad input gets.
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "programs.hpp"
#include "support/recorded_data.hpp"

namespace {

using programs::content;
using programs::Finished;
using programs::kAnswerFiles;
using programs::run_market;
using programs::shell_word;
using programs::TemporaryDirectory;
using testing::HasSubstr;

class MarketProgram : public testing::Test {
 protected:
  void SetUp() override {
    data_ = programs::real_data();
    if (data_) {
      *data_ /= "binance";
    } else if (sluice::test::recorded_data() != nullptr) {
      FAIL() << "SLUICE_TEST_DATA is set, but holds no folder binance";
    } else {
      GTEST_SKIP() << "no recorded captures; set SLUICE_TEST_DATA to the folder of the data";
    }
  }

  std::string captures() const { return data_->string() + "/*.gz"; }
  std::string fixture() const { return shell_word(*data_ / "fixture_first20000.tsv.zst"); }
  std::string out() const { return " --out " + shell_word(scratch_ / "out") + " "; }
  void expect_answers(const std::string& folder) const {
    for (const std::string& file : kAnswerFiles) {
      EXPECT_EQ(content(scratch_ / "out" / file), content(*data_ / folder / file)) << file;
    }
  }
  void expect_ok(const Finished& run) const {
    EXPECT_EQ(run.status, 0) << run.output << run.errors;
    EXPECT_EQ(run.errors, "");
  }

  std::optional<std::filesystem::path> data_;
  TemporaryDirectory scratch_;
};

TEST_F(MarketProgram, AnswersTheWholeDayExactly) {
  expect_ok(run_market("--input " + captures() + out()));
  expect_answers("answers");
}

TEST_F(MarketProgram, AnswersAMergedFileExactly) {
  expect_ok(run_market("--input " + fixture() + out()));
  expect_answers("answers_fixture20000");
}

TEST_F(MarketProgram, ReadsStandardInput) {
  const Finished run = run_market("--input -" + out() + "< " + fixture());
  expect_ok(run);
  expect_answers("answers_fixture20000");
}

TEST_F(MarketProgram, GivesTheSameAnswersWithAnyNumberOfWorkers) {
  for (const char* workers : {"1", "2", "4"}) {
    const std::string settings = std::string{" --set stage.parse.workers="} + workers +
                                 " --set stage.book.workers=" + workers +
                                 " --set stage.bars.workers=" + workers;
    expect_ok(run_market("--input " + captures() + out() + settings));
    expect_answers("answers");
  }
}

TEST_F(MarketProgram, GivesTheSameAnswersThroughTinyLanes) {
  expect_ok(run_market("--input " + fixture() + out() + "--set lane.slots=2 --set lane.bytes=128KiB"));
  expect_answers("answers_fixture20000");
}

TEST_F(MarketProgram, GivesTheSameAnswersInEveryProfile) {
  for (const char* profile : {"balanced", "latency", "throughput", "shared"}) {
    expect_ok(run_market("--input " + fixture() + out() + "--profile " + profile));
    expect_answers("answers_fixture20000");
  }
}

TEST_F(MarketProgram, ReplacesAWorkerThatHangsAndGivesTheSameAnswers) {
  const Finished run = run_market("--input " + captures() + out() + "--stall --set watchdog.deadline=300ms");
  expect_ok(run);
  EXPECT_THAT(run.output, HasSubstr("its replacement was at work after"));
  expect_answers("answers");
}

TEST_F(MarketProgram, KeepsWhatCameBeforeTheEndOfATruncatedArchive) {
  const std::string whole = content(*data_ / "spot_btcusdt_20240808.gz");
  const auto path = scratch_ / "spot_btcusdt_20240808.gz";
  std::ofstream{path, std::ios::binary} << whole.substr(0, whole.size() / 2);
  const Finished run = run_market("--input " + shell_word(path) + out());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("spot_btcusdt_20240808.gz"));
  EXPECT_GT(content(scratch_ / "out" / "bars_1s.tsv").size(), 1000U);
}

TEST_F(MarketProgram, NamesTheSettingForARecordLargerThanTheLane) {
  // Of the whole day so many snapshots are missing then that a table is full, and each event behind that costs three deaths.
  const Finished run = run_market("--input " + fixture() + out() + "--set stage.parse.lane.bytes=16KiB");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("stage.parse.lane.bytes"));
}

TEST_F(MarketProgram, NamesTheSettingForATableThatIsFull) {
  const Finished run =
      run_market("--input " + fixture() + out() + "--set stage.book.table.rows=100 --set oversize=stop");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("stage.book.table.rows"));
}

class MarketInput : public testing::Test {
 protected:
  std::string out() const { return " --out " + shell_word(scratch_ / "out") + " "; }
  TemporaryDirectory scratch_;
};

TEST_F(MarketInput, RejectsBadLinesWithFileLineAndReasonAndGoesOn) {
  const auto path = scratch_ / "spot_aaabbb_20240808";
  std::ofstream{path}
      << R"(1723161256172216566 {"stream":"aaabbb@trade","data":{"s":"AAABBB","t":1,"p":"1.5","q":"2","T":1000,"m":true}})"
      << "\nno capture line\n"
      << R"(1723161256172216567 {"stream":)"
      << "\n"
      << R"(1723161256172216568 {"stream":"aaabbb@trade","data":{"s":"AAABBB","t":2,"p":"x","q":"2","T":1000,"m":true}})"
      << "\n"
      << R"(1723161256172216569 {"stream":"aaabbb@trade","data":{"s":"AAABBB","t":2,"p":"1","q":"2","m":true}})"
      << "\n"
      << R"(1723161256172216570 {"stream":"aaabbb@trade","data":{"s":"AAABBB","t":2,"p":"1.25","q":"2","T":1999,"m":false}})";
  const Finished run = run_market("--input " + shell_word(path) + out());
  EXPECT_EQ(run.status, 0) << run.errors;
  const auto rejected = programs::rows(scratch_ / "out" / "rejected.tsv");
  ASSERT_EQ(rejected.size(), 4U);
  for (std::size_t i = 0; i < rejected.size(); ++i) {
    EXPECT_EQ(rejected[i][0], path.string());
    EXPECT_EQ(rejected[i][1], std::to_string(i + 2));
    EXPECT_NE(rejected[i][2], "");
  }
  EXPECT_EQ(content(scratch_ / "out" / "bars_1s.tsv"),
            "venue\tsymbol\tsec\topen\thigh\tlow\tclose\tvolume\ttrades\n"
            "spot\tAAABBB\t1\t1.5\t1.5\t1.25\t1.25\t4\t2\n");
}

TEST_F(MarketInput, IsAnErrorWithTheFilesNameWhenItCannotBeOpened) {
  const Finished run = run_market("--input /nowhere/spot_a_1.gz" + out());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("/nowhere/spot_a_1.gz"));
}

// Whatever is opened next would be read in its place.
TEST_F(MarketInput, IsAnErrorWhenStandardInputIsClosed) {
  const Finished market =
      programs::run_script("exec " + programs::market_program() + " --quiet --input - --out " +
                           shell_word(scratch_ / "out") + " <&-");
  EXPECT_EQ(market.status, 1);
  EXPECT_THAT(market.errors, testing::StartsWith("error: cannot read standard input: Bad file descriptor ("));
}

TEST_F(MarketInput, IsAnErrorOfTheToolsWhenTheirDirectoryCannotBeMade) {
  const std::string file = shell_word(scratch_ / "file");
  ASSERT_EQ(programs::run_script("echo > " + file).status, 0);
  const std::string out = "--out " + file + " ";
  for (const Finished& tool :
       {programs::run_simulator(out + "--events 1000"), programs::run_reference(out + file)}) {
    EXPECT_EQ(tool.status, 1);
    EXPECT_THAT(tool.errors,
                testing::AllOf(HasSubstr(": cannot make the directory "), HasSubstr("Not a directory"),
                               HasSubstr("(name another with --out)")));
  }
}

TEST_F(MarketInput, IsAnErrorWithAHintWhenAnOptionIsWrong) {
  const Finished run = run_market("--inptu x" + out());
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("--help"));
}

TEST_F(MarketInput, IsAnErrorWithTheNearestNameWhenASettingIsWrong) {
  const auto path = scratch_ / "spot_aaabbb_20240808";
  std::ofstream{path} << "\n";
  const Finished run = run_market("--input " + shell_word(path) + out() + "--set lane.slot=5");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("lane.slots"));
}

TEST_F(MarketInput, IsAnErrorWhenTheOutputCannotBeWritten) {
  const auto path = scratch_ / "spot_aaabbb_20240808";
  std::ofstream{path} << "\n";
  const Finished run = run_market("--input " + shell_word(path) + " --out /proc/nowhere");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("/proc/nowhere"));
}

TEST_F(MarketInput, ReadsTheDaysOfAnInstrumentInOrderOfTime) {
  const auto line = [](int id, const char* price, int time) {
    return "17231612561722165" + std::to_string(id) +
           R"( {"stream":"aaabbb@trade","data":{"s":"AAABBB","t":)" + std::to_string(id) + R"(,"p":")" +
           price + R"(","q":"1","T":)" + std::to_string(time) + ",\"m\":true}}\n";
  };
  const auto second = scratch_ / "spot_aaabbb_1";
  const auto first = scratch_ / "spot_aaabbb_2";
  std::ofstream{first} << line(10, "1", 1000) << line(11, "2", 1100);
  std::ofstream{second} << line(12, "3", 1200) << line(13, "4", 1300);
  const Finished run = run_market("--input " + shell_word(second) + " " + shell_word(first) + out());
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(content(scratch_ / "out" / "bars_1s.tsv"), HasSubstr("AAABBB\t1\t1\t4\t1\t4\t4\t4\n"));
}

}  // namespace
