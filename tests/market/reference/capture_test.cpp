// SPDX-License-Identifier: Apache-2.0
// What a capture's name says, how its lines split, and which documents are events.
#include "capture.hpp"

#include <gtest/gtest.h>

#include "event.hpp"

namespace reference {
namespace {

TEST(CaptureName, TellsVenueAndSymbolOfARawFile) {
  const CaptureName name = capture_name("/data/cm_btcusd_perp_20240808.gz");
  EXPECT_TRUE(name.raw);
  EXPECT_EQ(name.venue, "cm");
  EXPECT_EQ(name.symbol, "BTCUSD_PERP");
}

TEST(CaptureName, TakesEveryOtherNameForAMergedFile) {
  for (const char* path : {"-", "fixture_first20000.tsv.zst", "capture.tsv", "/a_b_20240808/capture.gz"}) {
    EXPECT_FALSE(capture_name(path).raw) << path;
  }
}

TEST(CaptureLines, SplitByTheFormatOfTheirFile) {
  const CaptureName raw = capture_name("spot_btcusdt_20240808.gz");
  EXPECT_EQ(split_line(raw, "17 {\"a\": 1}").json, "{\"a\": 1}");
  EXPECT_EQ(split_line(raw, "17 {}").symbol, "BTCUSDT");

  const CaptureName merged = capture_name("-");
  const CaptureLine line = split_line(merged, "17\tusdm\tETHUSDT\t{}");
  EXPECT_EQ(line.receive_ns, 17);
  EXPECT_EQ(line.venue, "usdm");
  EXPECT_EQ(line.symbol, "ETHUSDT");
  for (const char* bad : {"", "17", "x\tusdm\tETHUSDT\t{}", "17\tusdm\tETHUSDT {}", "17\t\tETHUSDT\t{}"}) {
    EXPECT_THROW(split_line(merged, bad), BadLine) << bad;
  }
}

TEST(Events, AreRejectedUnlessTheyAreWholeAndWellFormed) {
  EventParser parser;
  const auto parse = [&](std::string_view json) { return parser.parse({17, "usdm", "ETHUSDT", json}); };
  EXPECT_EQ(parse(R"({"stream":"x@trade","data":{"s":"X","p":"1","q":"2","T":3,"t":4,"m":true}})").kind,
            "trade");
  EXPECT_EQ(parse(R"({"stream":"x@depth@0ms","data":{"s":"X","U":1,"u":2,"pu":0,"b":[],"a":[]}})").kind,
            "depth");
  EXPECT_EQ(parse(R"({"lastUpdateId":1,"bids":[["1","2"]],"asks":[]})").kind, "snapshot");
  EXPECT_EQ(parse(R"({"stream":"x@kline","data":{"s":"X"}})").kind, "kline");
  for (const char* bad : {
           "",
           "[]",
           R"({"lastUpdateId":1,"bids":[["1","2"]]})",
           R"({"lastUpdateId":1,"bids":[["1"]],"asks":[]})",
           R"({"stream":"x","data":{"s":"X"}})",
           R"({"stream":"x@trade"})",
           R"({"stream":"x@trade","data":{"s":"X","p":"1","q":"2","T":3,"t":4,"m":true}}})",
           R"({"stream":"x@trade","data":{"s":"X","p":"1","q":"2","T":3,"t":4,"m":true})",
           R"({"stream":"x@trade","data":{"s":"X","p":"1e","q":"2","T":3,"t":4,"m":true}})",
           R"({"stream":"x@trade","data":{"s":"X","p":"1","q":"2","T":"3","t":4,"m":true}})",
           R"({"stream":"x@depth@0ms","data":{"s":"X","U":1,"u":2,"b":[],"a":[]}})",
       }) {
    EXPECT_THROW(parse(bad), BadLine) << bad;
  }
}

}  // namespace
}  // namespace reference
