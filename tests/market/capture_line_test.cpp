// SPDX-License-Identifier: Apache-2.0
// How a line of a capture is taken apart, and how the format of a file is told.

#include "market/capture_line.hpp"

#include <string>

#include <gtest/gtest.h>

namespace market {
namespace {

const Instrument kSpotCapture = make_instrument("spot", "BTCUSDT").instrument;

CaptureLine raw(std::string_view line) {
  return split_capture_line(CaptureFormat::raw, kSpotCapture, line);
}
CaptureLine merged(std::string_view line) {
  return split_capture_line(CaptureFormat::merged, kSpotCapture, line);
}

TEST(RawLine, IsReceiveTimeSpaceJson) {
  const CaptureLine line = raw(R"(1723161255030314667 {"a": 1})");
  EXPECT_EQ(line.reject_reason, "");
  EXPECT_EQ(line.receive_time_ns, 1723161255030314667);
  EXPECT_EQ(line.instrument, kSpotCapture);
  EXPECT_EQ(line.json, R"({"a": 1})");
}

TEST(MergedLine, CarriesVenueAndSymbol) {
  const CaptureLine line = merged("1723161255030314667\tcm\tETHUSD_PERP\t{\"a\":\t1}");
  EXPECT_EQ(line.reject_reason, "");
  EXPECT_EQ(line.receive_time_ns, 1723161255030314667);
  EXPECT_EQ(line.instrument, make_instrument("cm", "ETHUSD_PERP").instrument);
  EXPECT_EQ(line.json, "{\"a\":\t1}");
}

TEST(CaptureLine, MayEndWithACarriageReturn) {
  EXPECT_EQ(raw("1 {}\r").json, "{}");
  EXPECT_EQ(merged("1\tspot\tB\t{}\r").json, "{}");
  EXPECT_EQ(raw("\r").reject_reason, "empty line");
}

TEST(CaptureLine, IsRejectedWithTheReason) {
  EXPECT_EQ(raw("").reject_reason, "empty line");
  EXPECT_EQ(raw("{}").reject_reason, "no receive time");
  EXPECT_EQ(raw(" {}").reject_reason, "no receive time");
  EXPECT_EQ(raw("-5 {}").reject_reason, "no receive time");
  EXPECT_EQ(raw("12x {}").reject_reason, "no receive time");
  EXPECT_EQ(raw("99999999999999999999 {}").reject_reason, "no receive time");
  EXPECT_EQ(raw("12").reject_reason, "no JSON behind the receive time");
  EXPECT_EQ(raw("12 ").reject_reason, "no JSON behind the receive time");
  EXPECT_EQ(merged("x\tspot\tB\t{}").reject_reason, "no receive time");
  EXPECT_EQ(merged("1 {}").reject_reason, "no receive time");
  EXPECT_EQ(merged("1").reject_reason, "no venue behind the receive time");
  EXPECT_EQ(merged("1\tspot").reject_reason, "no venue behind the receive time");
  EXPECT_EQ(merged("1\tspot\tB").reject_reason, "no symbol behind the venue");
  EXPECT_EQ(merged("1\tspot\tB\t").reject_reason, "no JSON behind the symbol");
  EXPECT_EQ(merged("1\t\tB\t{}").reject_reason, "the venue is empty");
  EXPECT_EQ(merged("1\tspot\t\t{}").reject_reason, "the symbol is empty");
  EXPECT_EQ(merged("1\tspot\t" + std::string(33, 'S') + "\t{}").reject_reason,
            "the symbol is longer than 32 bytes");
}

TEST(CaptureLine, OfNoCaptureFileIsRejectedWhateverItIs) {
  for (const char* line : {"1 {}", "1\tspot\tB\t{}", "Dear diary", "\xff\xfe"}) {
    EXPECT_NE(split_capture_line(CaptureFormat::unknown, kSpotCapture, line).reject_reason, "") << line;
  }
}

TEST(CaptureName, IsVenueSymbolDay) {
  const CaptureName name = read_capture_name("/data/2024/cm_btcusd_perp_20240808.gz");
  EXPECT_EQ(name.fault, "");
  EXPECT_EQ(name.instrument, make_instrument("cm", "BTCUSD_PERP").instrument);
  EXPECT_EQ(read_capture_name("spot_btcusdt_20240808").instrument, kSpotCapture);
  EXPECT_EQ(read_capture_name("spot_btcusdt_20240808.jsonl.zst").instrument, kSpotCapture);
  EXPECT_EQ(read_capture_name("dir_a_b/spot_BTCUSDT_20240808.gz").instrument, kSpotCapture);
}

TEST(CaptureName, SaysWhatIsWrongWithIt) {
  EXPECT_EQ(read_capture_name("capture.gz").fault, "its name is not VENUE_SYMBOL_DAY");
  EXPECT_EQ(read_capture_name("fixture_first20000.tsv.zst").fault, "its name is not VENUE_SYMBOL_DAY");
  EXPECT_EQ(read_capture_name("a_b_c/plain").fault, "its name is not VENUE_SYMBOL_DAY");
  EXPECT_EQ(read_capture_name("spot_btcusdt_.gz").fault, "its name has no day");
  EXPECT_EQ(read_capture_name("spot_btcusdt_").fault, "its name has no day");
  EXPECT_EQ(read_capture_name("_btcusdt_20240808").fault, "the venue is empty");
  EXPECT_EQ(read_capture_name("spot__20240808").fault, "the symbol is empty");
  EXPECT_EQ(read_capture_name("").fault, "its name is not VENUE_SYMBOL_DAY");
}

TEST(CaptureFormat, IsToldByTheFirstLineBeforeTheName) {
  EXPECT_EQ(detect_format(true, "1\tspot\tB\t{}"), CaptureFormat::merged);
  EXPECT_EQ(detect_format(false, "1\tspot\tB\t{}"), CaptureFormat::merged);
  EXPECT_EQ(detect_format(true, "1 {\t}"), CaptureFormat::raw);
  EXPECT_EQ(detect_format(false, "1 {}"), CaptureFormat::raw);
}

TEST(CaptureFormat, IsToldByTheNameWhenTheFirstLineIsDamaged) {
  EXPECT_EQ(detect_format(true, "garbage"), CaptureFormat::raw);
  EXPECT_EQ(detect_format(true, ""), CaptureFormat::raw);
  EXPECT_EQ(detect_format(false, "x1\tspot\tB\t{}"), CaptureFormat::merged);
  EXPECT_EQ(detect_format(false, "Dear diary"), CaptureFormat::unknown);
  EXPECT_EQ(detect_format(false, ""), CaptureFormat::unknown);
  EXPECT_EQ(detect_format(false, "123"), CaptureFormat::unknown);
}

TEST(ReceiveTime, IsReadFromEitherFormat) {
  EXPECT_EQ(receive_time_ns("17 {}"), 17);
  EXPECT_EQ(receive_time_ns("17\tspot\tB\t{}"), 17);
  EXPECT_EQ(receive_time_ns("17"), std::nullopt);
  EXPECT_EQ(receive_time_ns("x {}"), std::nullopt);
}

}  // namespace
}  // namespace market
