// SPDX-License-Identifier: Apache-2.0
// The reference's decimals: exact, normalised, and picky about what a decimal is.
#include "decimal.hpp"

#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace reference {
namespace {

Decimal decimal(const char* text) {
  return Decimal::parse(text).value();
}

TEST(Decimal, PrintsNeitherTrailingZerosNorExponents) {
  EXPECT_EQ(decimal("61837.63000000").text(), "61837.63");
  EXPECT_EQ(decimal("0.00000001").text(), "0.00000001");
  EXPECT_EQ(decimal("1000").text(), "1000");
  EXPECT_EQ(decimal("007.50").text(), "7.5");
  EXPECT_EQ(decimal("0.000").text(), "0");
  EXPECT_EQ(decimal("-0.25").text(), "-0.25");
}

TEST(Decimal, RefusesWhatIsNoDecimal) {
  for (const char* text : {"", "-", ".", "1.", ".5", "+", "--1", "1e5", "1,5", "0x1f", "12.3.4", " 1", "1 ",
                           "NaN", "1234567890.1234567891"}) {
    EXPECT_FALSE(Decimal::parse(text)) << text;
  }
}

TEST(Decimal, AddsAndMultipliesWithoutRounding) {
  EXPECT_EQ((decimal("0.1") + decimal("0.2")).text(), "0.3");
  EXPECT_EQ((decimal("0.75") + decimal("0.25")).text(), "1");
  EXPECT_EQ((decimal("61837.63") * decimal("0.00000001")).text(), "0.0006183763");
  EXPECT_EQ((decimal("123456789.12345678") * decimal("87654321.87654321")).text(),
            "10821521131671999.4583142722374638");
  EXPECT_EQ((decimal("2.5") * decimal("0.4")).text(), "1");
}

TEST(Decimal, ComparesByValue) {
  EXPECT_EQ(decimal("2.50"), decimal("2.5"));
  EXPECT_LT(decimal("9.99"), decimal("10"));
  EXPECT_GT(decimal("0.1"), decimal("0.09999"));
  EXPECT_LT(decimal("-1"), decimal("0"));
}

TEST(Decimal, ThrowsRatherThanGiveAWrongNumber) {
  const Decimal large = decimal("999999999999999999");
  EXPECT_THROW(large * large * large, std::overflow_error);
}

}  // namespace
}  // namespace reference
