// SPDX-License-Identifier: Apache-2.0
// What a decimal is, how it is written, and that sums of them are exact.

#include <random>
#include <string>
#include <type_traits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/connect/decimal.hpp>

namespace sluice {
namespace {

std::string rewritten(std::string_view text) {
  const ParsedDecimal parsed = parse_decimal(text);
  return parsed.fault == DecimalFault::none ? to_text(parsed.value) : std::string{to_text(parsed.fault)};
}

TEST(Decimal, IsWrittenWithoutTrailingZerosAndExponent) {
  EXPECT_EQ(rewritten("61837.63000000"), "61837.63");
  EXPECT_EQ(rewritten("61686.00"), "61686");
  EXPECT_EQ(rewritten("1380"), "1380");
  EXPECT_EQ(rewritten("100000000"), "100000000");
  EXPECT_EQ(rewritten("0.00000001"), "0.00000001");
  EXPECT_EQ(rewritten("-0.5"), "-0.5");
  EXPECT_EQ(rewritten("+7.25"), "7.25");
  EXPECT_EQ(rewritten("007"), "7");
}

TEST(Decimal, IsZeroInEverySpelling) {
  for (const char* zero : {"0", "0.0", "0.00000000", "-0", "+0.000", "000.0000000000000000"}) {
    EXPECT_EQ(rewritten(zero), "0") << zero;
    EXPECT_TRUE(parse_decimal(zero).value.is_zero()) << zero;
  }
}

TEST(Decimal, CountsUnitsOfTheEighthFractionDigit) {
  EXPECT_EQ(parse_decimal("1").value.units(), 100'000'000);
  EXPECT_EQ(parse_decimal("-1.5").value.units(), -150'000'000);
  EXPECT_LT(parse_decimal("2.1").value, parse_decimal("10").value);
}

TEST(Decimal, ReachesToTheLimitsOf64Bits) {
  EXPECT_EQ(rewritten("92233720368.54775807"), "92233720368.54775807");
  EXPECT_EQ(rewritten("-92233720368.54775807"), "-92233720368.54775807");
  EXPECT_EQ(parse_decimal("92233720368.54775808").fault, DecimalFault::overflow);
  EXPECT_EQ(parse_decimal("184467440737.09551616").fault, DecimalFault::overflow);
  EXPECT_EQ(parse_decimal("99999999999999999999999999999999").fault, DecimalFault::overflow);
  EXPECT_EQ(parse_decimal("184467440737095516160").fault, DecimalFault::overflow);
  EXPECT_EQ(to_text(Decimal::from_units(std::numeric_limits<std::int64_t>::min())), "-92233720368.54775808");
}

TEST(Decimal, RefusesMoreThanEightFractionDigitsUnlessTheyAreZeros) {
  EXPECT_EQ(rewritten("0.1234567800000"), "0.12345678");
  EXPECT_EQ(parse_decimal("0.123456789").fault, DecimalFault::too_precise);
  EXPECT_EQ(parse_decimal("1.0000000000001").fault, DecimalFault::too_precise);
}

TEST(Decimal, RefusesWhatIsNoNumber) {
  EXPECT_EQ(parse_decimal("").fault, DecimalFault::empty);
  for (const char* junk : {"-",        "+",     ".",        "-.",   ".5",  "5.",  " 1",    "1 ",
                           "1,5",      "1e5",   "1.5e-3",   "0x10", "--1", "+-1", "1.2.3", "NaN",
                           "Infinity", "1_000", "\xD9\xA1", "1.-2", "/",   ":",   "1:",    "1.5/"}) {
    EXPECT_EQ(parse_decimal(junk).fault, DecimalFault::junk) << junk;
  }
  EXPECT_EQ(parse_decimal(std::string_view{"1\0", 2}).fault, DecimalFault::junk);
}

TEST(Decimal, NeedsNothingReadableBehindTheText) {
  const std::string text = "12345";
  EXPECT_EQ(to_text(parse_decimal(std::string_view{text}.substr(0, 3)).value), "123");
}

TEST(Decimal, SurvivesBeingWrittenAndReadAgain) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < 20'000; ++round) {
    const auto units = static_cast<std::int64_t>(random() >> (random() % 64)) * (round % 2 == 0 ? 1 : -1);
    if (units == std::numeric_limits<std::int64_t>::min()) continue;
    const Decimal value = Decimal::from_units(units);
    const ParsedDecimal again = parse_decimal(to_text(value));
    ASSERT_EQ(again.fault, DecimalFault::none) << units;
    ASSERT_EQ(again.value, value) << to_text(value);
  }
}

TEST(Sum, AddsQuantitiesExactly) {
  DecimalSum<8> sum;
  for (int round = 0; round < 1000; ++round)
    ASSERT_TRUE(add(sum, parse_decimal("0.1").value));
  ASSERT_TRUE(subtract(sum, parse_decimal("0.00000001").value));
  EXPECT_EQ(to_text(sum), "99.99999999");
  EXPECT_EQ(to_text(DecimalSum<8>{}), "0");
}

TEST(Sum, AddsProductsExactly) {
  DecimalSum<16> sum;
  ASSERT_TRUE(add(sum, parse_decimal("0.00000001").value, parse_decimal("0.00000001").value));
  EXPECT_EQ(to_text(sum), "0.0000000000000001");
  ASSERT_TRUE(
      add(sum, parse_decimal("92233720368.54775807").value, parse_decimal("92233720368.54775807").value));
  EXPECT_EQ(to_text(sum), "8507059173023461584739.690778423250125");
}

TEST(Sum, SaysSoInsteadOfOverflowing) {
  constexpr Int128 kMost = static_cast<Int128>(~UInt128{0} >> 1);
  DecimalSum<16> sum;
  ASSERT_TRUE(sum.add_units(kMost));
  EXPECT_FALSE(sum.add_units(1));
  EXPECT_EQ(to_text(sum), "17014118346046923173168.7303715884105727");
  ASSERT_TRUE(sum.subtract_units(kMost));
  ASSERT_TRUE(sum.subtract_units(kMost));
  ASSERT_TRUE(sum.subtract_units(1));
  EXPECT_FALSE(sum.subtract_units(1));
  EXPECT_EQ(to_text(sum), "-17014118346046923173168.7303715884105728");
}

static_assert(std::is_trivially_copyable_v<Decimal> && std::is_trivially_copyable_v<DecimalSum<16>>);
static_assert(parse_decimal("1.5").value.units() == 150'000'000);

}  // namespace
}  // namespace sluice
