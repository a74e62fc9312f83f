// SPDX-License-Identifier: Apache-2.0
// The market demonstration on real captures, run again and again by `sluice chaos`: no run may give another
// answer.
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "command.hpp"
#include "programs.hpp"
#include "support/recorded_data.hpp"

namespace {

using testing::HasSubstr;

TEST(MarketUnderChaos, GivesTheRightAnswersInEveryRun) {
  const auto data = programs::real_data();
  if (!data) {
    if (sluice::test::recorded_data() != nullptr) FAIL() << "SLUICE_TEST_DATA holds no folder binance";
    GTEST_SKIP() << "no recorded captures; set SLUICE_TEST_DATA to the folder of the data";
  }
  const chaos_test::Finished chaos = chaos_test::run(
      "MARKET='" MARKET_PROGRAM "' '" SLUICE_PROGRAM
      "' chaos --for 10s --kill 20/s --stall 0.5/s --stop 2/s --patience 90s -- '" MARKET_ANSWERS "' " +
      programs::shell_word(*data / "binance") + " --quiet");
  std::cout << chaos.output << chaos.errors;
  EXPECT_EQ(chaos.status, 0);
  EXPECT_THAT(chaos.output, HasSubstr("identical: 5 answer files"));
  EXPECT_THAT(chaos.errors, HasSubstr("every one ended with status 0 and left no process behind"));
}

}  // namespace
