// SPDX-License-Identifier: Apache-2.0
// The market demonstration on real captures while its workers are killed: 160 kills at random instants in
// all, every kind of worker hit, no answer differs.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "programs.hpp"
#include "support/recorded_data.hpp"

namespace {

using programs::content;
using programs::shell_word;
using testing::HasSubstr;

class MarketKills : public testing::Test {
 protected:
  void SetUp() override {
    const auto data = programs::real_data();
    if (data) {
      data_ = *data / "binance";
    } else if (sluice::test::recorded_data() != nullptr) {
      FAIL() << "SLUICE_TEST_DATA is set, but holds no folder binance";
    } else {
      GTEST_SKIP() << "no recorded captures; set SLUICE_TEST_DATA to the folder of the data";
    }
  }

  void run(const std::string& arguments) {
    const programs::TemporaryDirectory scratch;
    const programs::Finished run =
        programs::run_market("--input " + data_.string() + "/*.gz --out " + shell_word(scratch / "out") +
                             " --kill 40 " + arguments);
    ASSERT_EQ(run.status, 0) << run.output << run.errors;
    // The seed stands in the output; the kills go round the stages, so that every kind is hit.
    EXPECT_THAT(run.output, HasSubstr("killed 40 workers of 40 asked for, in 7 of 7 stages")) << run.output;
    for (const std::string& file : programs::kAnswerFiles) {
      EXPECT_EQ(content(scratch / "out" / file), content(data_ / "answers" / file)) << file << run.output;
    }
  }

  std::filesystem::path data_;
};

TEST_F(MarketKills, ChangeNoAnswer) {
  run("--kill-every 2");
}
TEST_F(MarketKills, ChangeNoAnswerWithOneWorkerAStage) {
  run("--kill-every 2 --set stage.read.workers=1 --set stage.parse.workers=1 --set stage.book.workers=1");
}
TEST_F(MarketKills, ChangeNoAnswerWithFourParsersAndBooks) {
  run("--kill-every 2 --set stage.parse.workers=4 --set stage.book.workers=4");
}
TEST_F(MarketKills, ChangeNoAnswerTwoPerMillisecond) {
  run("--kill-every 0.5");
}

}  // namespace
