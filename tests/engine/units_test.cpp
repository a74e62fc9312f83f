// SPDX-License-Identifier: Apache-2.0
// Numbers with units: what may be written, what it means, and how it is written back.

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/units.hpp>

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(Count, IsAWholeNumber) {
  EXPECT_EQ(parse_count("0").value, 0U);
  EXPECT_EQ(parse_count("4096").value, 4096U);
  EXPECT_EQ(parse_count("18446744073709551615").value, std::numeric_limits<std::uint64_t>::max());
}

TEST(Count, TakesLettersAsPowersOf1024InEitherCase) {
  EXPECT_EQ(parse_count("64K").value, 65536U);
  EXPECT_EQ(parse_count("64k").value, 65536U);
  EXPECT_EQ(parse_count("2M").value, 2097152U);
  EXPECT_EQ(parse_count("1T").value, std::uint64_t{1} << 40U);
}

TEST(Count, TakesAFractionThatComesOutWhole) {
  EXPECT_EQ(parse_count("1.5K").value, 1536U);
  EXPECT_THAT(parse_count("0.3").fault, HasSubstr("whole number"));
}

TEST(Count, RefusesWhatIsNoNumberAndSaysWhy) {
  EXPECT_THAT(parse_count("").fault, HasSubstr("empty"));
  EXPECT_THAT(parse_count("-1").fault, HasSubstr("negative"));
  EXPECT_THAT(parse_count("many").fault, HasSubstr("no whole number"));
  EXPECT_THAT(parse_count("4q").fault, HasSubstr("'q' is no unit"));
  EXPECT_THAT(parse_count("4KiB").fault, HasSubstr("'KiB' is no unit"));
  EXPECT_THAT(parse_count("4 ").fault, HasSubstr("no unit"));
  EXPECT_THAT(parse_count("1.").fault, HasSubstr("digit is missing"));
  EXPECT_THAT(parse_count("1.0000001").fault, HasSubstr("six digits"));
  EXPECT_THAT(parse_count("+1").fault, HasSubstr("no whole number"));
}

TEST(Count, RefusesWhatDoesNotFit) {
  EXPECT_THAT(parse_count("18446744073709551616").fault, HasSubstr("too large"));
  EXPECT_THAT(parse_count("99999999T").fault, HasSubstr("too large"));
  EXPECT_THAT(parse_count("16777215.999999T").fault, HasSubstr("whole number"));
}

TEST(Bytes, AreWrittenInPowersOf1024) {
  for (const char* text : {"64K", "64KiB", "64kib", "64 KiB", "65536", "65536B"}) {
    EXPECT_EQ(parse_bytes(text).value, 65536U) << text;
  }
  EXPECT_EQ(parse_bytes("2MiB").value, std::uint64_t{2} << 20U);
  EXPECT_EQ(parse_bytes("1G").value, std::uint64_t{1} << 30U);
  EXPECT_EQ(parse_bytes("1TiB").value, std::uint64_t{1} << 40U);
}

TEST(Bytes, AreWrittenInPowersOf1000WithAPlainB) {
  EXPECT_EQ(parse_bytes("64kB").value, 64000U);
  EXPECT_EQ(parse_bytes("2MB").value, 2000000U);
  EXPECT_EQ(parse_bytes("1.5GB").value, 1500000000U);
}

TEST(Duration, NamesItsUnit) {
  EXPECT_EQ(parse_duration("10ns").value, 10ns);
  EXPECT_EQ(parse_duration("20us").value, 20us);
  EXPECT_EQ(parse_duration("20\u00b5s").value, 20us);
  EXPECT_EQ(parse_duration("10ms").value, 10ms);
  EXPECT_EQ(parse_duration("1.5s").value, 1500ms);
  EXPECT_EQ(parse_duration("2min").value, 2min);
  EXPECT_EQ(parse_duration("1 h").value, 1h);
}

TEST(Duration, WithoutAUnitIsRefusedUnlessItIsZero) {
  EXPECT_EQ(parse_duration("0").value, 0ns);
  EXPECT_TRUE(parse_duration("0").ok());
  EXPECT_THAT(parse_duration("10").fault, HasSubstr("unit is missing"));
  EXPECT_THAT(parse_duration("10m").fault, HasSubstr("'m' is no unit"));
}

TEST(Duration, IsWholeNanosecondsThatFitIn63Bits) {
  EXPECT_THAT(parse_duration("0.5ns").fault, HasSubstr("whole number of nanoseconds"));
  EXPECT_THAT(parse_duration("9223372037s").fault, HasSubstr("too large"));
}

TEST(Rate, IsANumberPerUnitOfTime) {
  EXPECT_EQ(parse_rate("5/s").value, 5);
  EXPECT_EQ(parse_rate("0.2/s").value, 0.2);
  EXPECT_EQ(parse_rate("12/min").value, 0.2);
  EXPECT_EQ(parse_rate("7200/H").value, 2);
  EXPECT_EQ(parse_rate("0").value, 0);
  EXPECT_TRUE(parse_rate("0").ok());
}

TEST(Rate, RefusesWhatIsNoneAndSaysWhy) {
  EXPECT_THAT(parse_rate("").fault, HasSubstr("empty"));
  EXPECT_THAT(parse_rate("5").fault, HasSubstr("unit is missing: /s, /min or /h"));
  EXPECT_THAT(parse_rate("/s").fault, HasSubstr("does not begin with a number"));
  EXPECT_THAT(parse_rate("-1/s").fault, HasSubstr("negative"));
  EXPECT_THAT(parse_rate("5/").fault, HasSubstr("'/' is no unit"));
  EXPECT_THAT(parse_rate("5/fortnight").fault, HasSubstr("'/fortnight' is no unit"));
  EXPECT_THAT(parse_rate("5 /s").fault, HasSubstr("no unit"));
  for (const char* text : {"nan/s", "inf/s", "0x5/s", "+5/s"})
    EXPECT_FALSE(parse_rate(text).ok()) << text;
  EXPECT_FALSE(parse_rate("1" + std::string(400, '0') + "/s").ok());
}

TEST(Rate, IsWrittenSoThatItComesBack) {
  for (const char* text : {"5/s", "0.2/s", "7/min", "1/h", "0", "1000/s", "0.001/s"})
    EXPECT_EQ(format_rate(parse_rate(text).value), text);
}

TEST(Flag, IsAnyOfTheUsualWords) {
  for (const char* text : {"yes", "true", "on", "1", "YES"}) {
    EXPECT_TRUE(parse_flag(text).ok() && parse_flag(text).value) << text;
  }
  for (const char* text : {"no", "false", "off", "0", "Off"}) {
    EXPECT_TRUE(parse_flag(text).ok() && !parse_flag(text).value) << text;
  }
  EXPECT_THAT(parse_flag("maybe").fault, HasSubstr("neither yes nor no"));
  EXPECT_THAT(parse_flag("").fault, HasSubstr("empty"));
}

TEST(CanonicalText, UsesTheLargestUnitThatKeepsTheNumberWhole) {
  EXPECT_EQ(format_count(65536), "65536");
  EXPECT_EQ(format_bytes(0), "0B");
  EXPECT_EQ(format_bytes(1000), "1000B");
  EXPECT_EQ(format_bytes(std::uint64_t{1536} << 10U), "1536KiB");
  EXPECT_EQ(format_bytes(std::uint64_t{2} << 20U), "2MiB");
  EXPECT_EQ(format_duration(0ns), "0s");
  EXPECT_EQ(format_duration(1500us), "1500us");
  EXPECT_EQ(format_duration(10ms), "10ms");
  EXPECT_EQ(format_duration(60s), "1min");
  EXPECT_EQ(format_duration(-5ns), "-5ns");
  EXPECT_EQ(format_flag(true), "yes");
  EXPECT_EQ(format_flag(false), "no");
}

TEST(CanonicalText, ReadsBackAsTheSameNumber) {
  std::uint64_t number = 1;
  for (int step = 0; step < 62; ++step) {
    number = number * 2 + static_cast<std::uint64_t>(step % 2);
    for (const std::uint64_t each : {number, number - 1, number * 1024, number * 1000 / 7}) {
      EXPECT_EQ(parse_count(format_count(each)).value, each);
      EXPECT_EQ(parse_bytes(format_bytes(each)).value, each);
      const std::chrono::nanoseconds duration{static_cast<std::int64_t>(each >> 1U)};
      EXPECT_EQ(parse_duration(format_duration(duration)).value, duration);
    }
  }
}

}  // namespace
}  // namespace sluice::detail
