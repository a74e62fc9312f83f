// SPDX-License-Identifier: Apache-2.0
// Which JSON is which event, and for what reasons a line is rejected.

#include "market/parse.hpp"

#include <cstring>
#include <memory>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace market {
namespace {

using ::testing::HasSubstr;

const Instrument kSpot = make_instrument("spot", "BTCUSDT").instrument;
const Instrument kUsdm = make_instrument("usdm", "BTCUSDT").instrument;
const Instrument kElsewhere = make_instrument("elsewhere", "BTCUSDT").instrument;

constexpr const char* kTrade =
    R"({"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,)"
    R"("p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}})";
constexpr const char* kTicker =
    R"({"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000",)"
    R"("B":"3.78826000","a":"61837.64000000","A":"1.54698000"}})";
constexpr const char* kSpotDepth =
    R"({"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":89,"u":102,)"
    R"("b":[["61737.63","0.5"],["61730.17","0.00000000"]],"a":[["61837.64","1.54698"]]}})";
constexpr const char* kUsdmDepth =
    R"({"stream":"btcusdt@depth@0ms","data":{"s":"BTCUSDT","U":89,"u":102,"pu":88,"b":[],"a":[]}})";
constexpr const char* kSnapshot =
    R"({"lastUpdateId":1007198635033,"E":1,"symbol":"OTHER","bids":[["61804.7","35"],["1","0"]],"asks":[["61805","2"]]})";

std::string decimals(std::span<const Level> levels) {
  std::string out;
  for (const Level& level : levels) {
    out += level.side == Side::bid ? "b" : "a";
    append(out, level.price);
    out += ':';
    append(out, level.quantity);
    out += ' ';
  }
  return out;
}

// Memory of exactly the text's size, so that the address sanitizer sees every byte read too far.
std::string reason(const Instrument& source, const std::string& json) {
  LineParser parser;
  const auto exact = std::make_unique<char[]>(json.size());
  std::memcpy(exact.get(), json.data(), json.size());
  const Parsed parsed = parser.parse(source, {exact.get(), json.size()});
  if (!std::holds_alternative<Rejected>(parsed))
    return "accepted as " + std::string{kind_name(parsed).text()};
  return std::string{std::get<Rejected>(parsed).reason};
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

TEST(Parser, ReadsATrade) {
  LineParser parser;
  const Parsed parsed = parser.parse(kUsdm, kTrade);
  ASSERT_TRUE(std::holds_alternative<Trade>(parsed));
  const auto& trade = std::get<Trade>(parsed);
  EXPECT_EQ(trade.instrument, kUsdm);
  EXPECT_EQ(to_text(trade.price), "61837.63");
  EXPECT_EQ(to_text(trade.quantity), "0.02");
  EXPECT_EQ(trade.trade_id, 3735683259);
  EXPECT_EQ(trade.trade_time_ms, 1723161255342);
  EXPECT_TRUE(trade.buyer_maker);
}

TEST(Parser, ReadsABookTicker) {
  LineParser parser;
  const Parsed parsed = parser.parse(kSpot, kTicker);
  ASSERT_TRUE(std::holds_alternative<Ticker>(parsed));
  const auto& ticker = std::get<Ticker>(parsed);
  EXPECT_EQ(to_text(ticker.bid), "61837.63");
  EXPECT_EQ(to_text(ticker.bid_quantity), "3.78826");
  EXPECT_EQ(to_text(ticker.ask), "61837.64");
  EXPECT_EQ(to_text(ticker.ask_quantity), "1.54698");
  EXPECT_EQ(ticker.update_id, 50093239212);
}

TEST(Parser, ReadsADepthUpdate) {
  LineParser parser;
  const Parsed parsed = parser.parse(kSpot, kSpotDepth);
  ASSERT_TRUE(std::holds_alternative<Depth>(parsed));
  const auto& depth = std::get<Depth>(parsed);
  EXPECT_EQ(depth.first_id, 89);
  EXPECT_EQ(depth.last_id, 102);
  EXPECT_FALSE(depth.has_previous_id);
  EXPECT_EQ(decimals(depth.levels), "b61737.63:0.5 b61730.17:0 a61837.64:1.54698 ");
}

TEST(Parser, TakesTheVenueFromTheSourceAndTheSymbolFromTheStream) {
  LineParser parser;
  const Instrument source = make_instrument("cm", "FILE").instrument;
  EXPECT_EQ(std::get<Trade>(parser.parse(source, kTrade)).instrument,
            make_instrument("cm", "BTCUSDT").instrument);
}

TEST(Parser, TakesTheSymbolOfASnapshotFromTheSource) {
  LineParser parser;
  const Parsed parsed = parser.parse(kSpot, kSnapshot);
  ASSERT_TRUE(std::holds_alternative<Snapshot>(parsed));
  const auto& snapshot = std::get<Snapshot>(parsed);
  EXPECT_EQ(snapshot.instrument, kSpot);
  EXPECT_EQ(snapshot.last_id, 1007198635033);
  EXPECT_EQ(decimals(snapshot.levels), "b61804.7:35 b1:0 a61805:2 ");
}

TEST(Parser, TakesAStreamOfNullForNone) {
  EXPECT_EQ(reason(kSpot, replaced(kSnapshot, "{", R"({"stream":null,)")), "accepted as snapshot");
}

TEST(Parser, NeedsThePreviousIdOfFuturesOnly) {
  LineParser parser;
  const auto usdm = std::get<Depth>(parser.parse(kUsdm, kUsdmDepth));
  EXPECT_TRUE(usdm.has_previous_id);
  EXPECT_EQ(usdm.previous_id, 88);
  EXPECT_FALSE(std::get<Depth>(parser.parse(kSpot, kUsdmDepth)).has_previous_id);
  EXPECT_EQ(reason(kUsdm, kSpotDepth), "missing field data.pu");
  EXPECT_EQ(reason(make_instrument("cm", "X").instrument, kSpotDepth), "missing field data.pu");
}

TEST(Parser, TreatsAnUnknownVenueAsItsUpdatesSuggest) {
  LineParser parser;
  EXPECT_FALSE(std::get<Depth>(parser.parse(kElsewhere, kSpotDepth)).has_previous_id);
  EXPECT_TRUE(std::get<Depth>(parser.parse(kElsewhere, kUsdmDepth)).has_previous_id);
}

TEST(Parser, CountsOtherStreamsByWhatStandsBehindTheFirstAt) {
  LineParser parser;
  const auto kind = [&](const std::string& stream) {
    const Parsed parsed = parser.parse(kSpot, R"({"stream":")" + stream + R"(","data":{"s":"BTCUSDT"}})");
    return std::string{kind_name(parsed).text()};
  };
  EXPECT_EQ(kind("btcusdt@markPrice@1s"), "markPrice");
  EXPECT_EQ(kind("btcusdt@aggTrade"), "aggTrade");
  EXPECT_EQ(kind("@kline_1m"), "kline_1m");
  EXPECT_EQ(kind("btcusdt@snapshot"), "snapshot");
  EXPECT_EQ(reason(kSpot, R"({"stream":"a@markPrice","data":{}})"), "missing field data.s");
}

TEST(Parser, NamesTheKindOfEveryEvent) {
  EXPECT_EQ(reason(kSpot, kTrade), "accepted as trade");
  EXPECT_EQ(reason(kSpot, kTicker), "accepted as bookTicker");
  EXPECT_EQ(reason(kSpot, kSpotDepth), "accepted as depth");
  EXPECT_EQ(reason(kSpot, kSnapshot), "accepted as snapshot");
}

TEST(Parser, DoesNotCareAboutOrderSpacesAndUnknownFields) {
  EXPECT_EQ(reason(kSpot, R"( { "data" : {"m":false,"T":1,"q":"1","p":"2","x":[{"y":null}],"t":3,"s":"S"},)"
                          R"( "more":{"deep":[1,2.5,-3e7]}, "stream" : "s@trade" } )"),
            "accepted as trade");
}

TEST(Parser, ReadsEscapesInStringsAndNames) {
  LineParser parser;
  const std::string json =
      replaced(replaced(kTrade, R"("p":"6)", R"("\u0070":"\u0036)"), "@trade", R"(@tr\u0061de)");
  EXPECT_EQ(to_text(std::get<Trade>(parser.parse(kSpot, json)).price), "61837.63");
}

TEST(Parser, LetsTheLastOfEqualNamesCount) {
  LineParser parser;
  const std::string json = replaced(kSpotDepth, R"("a":[)", R"("b":[["7","8"]],"a":[)");
  EXPECT_EQ(decimals(std::get<Depth>(parser.parse(kSpot, json)).levels), "b7:8 a61837.64:1.54698 ");
}

TEST(Rejection, NamesTheMissingField) {
  EXPECT_EQ(reason(kSpot, "{}"), "missing field lastUpdateId");
  EXPECT_EQ(reason(kSpot, R"({"lastUpdateId":1,"asks":[]})"), "missing field bids");
  EXPECT_EQ(reason(kSpot, R"({"lastUpdateId":1,"bids":[]})"), "missing field asks");
  EXPECT_EQ(reason(kSpot, R"({"stream":"a@trade"})"), "missing field data");
  for (const char* field : {"s", "t", "p", "q", "T", "m"}) {
    const std::string name = field;
    EXPECT_EQ(reason(kSpot, replaced(kTrade, "\"" + name + "\":", "\"_\":")), "missing field data." + name);
  }
  for (const char* field : {"u", "s", "b", "B", "a", "A"}) {
    const std::string name = field;
    EXPECT_EQ(reason(kSpot, replaced(kTicker, "\"" + name + "\":", "\"_\":")), "missing field data." + name);
  }
  for (const char* field : {"s", "U", "u", "b", "a"}) {
    const std::string name = field;
    EXPECT_EQ(reason(kSpot, replaced(kSpotDepth, "\"" + name + "\":", "\"_\":")),
              "missing field data." + name);
  }
}

TEST(Rejection, NamesTheFieldThatIsNoDecimalAndShortensItsText) {
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "61837.63000000", "12x")),
            R"(field data.p is no decimal: "12x": a character stands where a digit is needed)");
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "0.02000000", "")),
            R"(field data.q is no decimal: "": it is empty)");
  EXPECT_EQ(reason(kSpot, replaced(kTicker, "1.54698000", "0.123456789")),
            R"(field data.A is no decimal: "0.123456789": more than 8 fraction digits)");
  EXPECT_EQ(reason(kSpot, replaced(kSpotDepth, "61837.64", std::string(5000, '9'))),
            "field data.a is no decimal: \"" + std::string(40, '9') + "...\": too large for 64 bits of 1e-8");
  EXPECT_THAT(reason(kSpot, replaced(kTrade, "61837.63000000", R"(1\n\t2)")), HasSubstr(R"("1??2")"));
}

TEST(Rejection, NamesTheFieldOfTheWrongType) {
  EXPECT_EQ(reason(kSpot, "[1]"), "wrong type: the line is no JSON object");
  EXPECT_EQ(reason(kSpot, "17"), "wrong type: the line is no JSON object");
  EXPECT_EQ(reason(kSpot, R"({"stream":5,"data":{}})"), "wrong type: field stream is no string");
  EXPECT_EQ(reason(kSpot, R"({"stream":"a@trade","data":[]})"), "wrong type: field data is no object");
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "\"61837.63000000\"", "61837.63")),
            "wrong type: field data.p is no decimal in quotes");
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "3735683259", "1.5")),
            "wrong type: field data.t is no 64-bit integer");
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "3735683259", "18446744073709551615")),
            "wrong type: field data.t is no 64-bit integer");
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "\"m\":true", "\"m\":1")),
            "wrong type: field data.m is no true or false");
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "\"s\":\"BTCUSDT\"", "\"s\":null")),
            "wrong type: field data.s is no string");
  EXPECT_EQ(reason(kSpot, replaced(kSpotDepth, R"([["61837.64","1.54698"]])", "{}")),
            "wrong type: field data.a is no list");
}

TEST(Rejection, WantsLevelsToBePairs) {
  for (const char* level : {R"("61837.64")", "[]", R"(["61837.64"])", R"(["61837.64","1","2"])", "null"}) {
    EXPECT_EQ(reason(kSpot, replaced(kSpotDepth, R"(["61837.64","1.54698"])", level)),
              R"(wrong type: field data.a is no list of pairs ["price","quantity"])")
        << level;
  }
}

TEST(Rejection, WantsAKindAndASymbol) {
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "btcusdt@trade", "btcusdt")),
            R"(field stream names no kind: "btcusdt": the kind behind '@' is empty)");
  EXPECT_THAT(reason(kSpot, replaced(kTrade, "@trade", "@@trade")), HasSubstr("is empty"));
  EXPECT_THAT(reason(kSpot, replaced(kTrade, "@trade", "@" + std::string(33, 'k'))),
              HasSubstr("is too long"));
  EXPECT_EQ(reason(kSpot, replaced(kTrade, "BTCUSDT", "")), R"(field data.s is no symbol: "" is empty)");
  EXPECT_THAT(reason(kSpot, replaced(kTrade, "BTCUSDT", R"(BTC\tUSDT)")),
              HasSubstr("has a control character"));
}

TEST(Rejection, IsTheAnswerToJsonThatDoesNotParse) {
  for (const std::string& json :
       {std::string{"{"}, std::string{"}"}, std::string{"garbage"}, std::string{"{\"a\":}"},
        std::string{"   "}, std::string{R"({"stream":"a@trade","data":{"s":"S",}})"},
        std::string{"\xff\xfe{}"}, std::string(100, '\0'), std::string(5000, '['), std::string{kTrade} + "x",
        std::string{kTrade} + kTrade, std::string{kTrade} + "}", std::string{kTrade}.substr(0, 100),
        replaced(kTrade, "\"trade\"", "trade"), replaced(kTrade, "\"M\":true", "\"M\":tru"),
        replaced(kTrade, "\"e\":\"trade\"", "\"e\":\"\\q\""), replaced(kTrade, "BTCUSDT", "BTC\xff"),
        replaced(kTrade, "BTCUSDT", "BTC\nUSDT"), replaced(kTrade, "\"m\":true,", "\"m\":true")}) {
    EXPECT_THAT(reason(kSpot, json), HasSubstr("JSON does not parse: ")) << json;
  }
  EXPECT_EQ(reason(kSpot, ""), "there is no JSON");
}

TEST(Rejection, IsTheAnswerToEveryTruncationOfALine) {
  LineParser parser;
  for (const std::string& json : {std::string{kTrade}, std::string{kSpotDepth}, std::string{kSnapshot}}) {
    for (std::size_t size = 0; size < json.size(); ++size) {
      EXPECT_TRUE(std::holds_alternative<Rejected>(parser.parse(kSpot, json.substr(0, size)))) << size;
    }
  }
}

TEST(Rejection, LeavesNothingBehindInTheParser) {
  LineParser parser;
  const Parsed rejected = parser.parse(kSpot, replaced(kSpotDepth, "1.54698", "x"));
  ASSERT_TRUE(std::holds_alternative<Rejected>(rejected));
  EXPECT_EQ(decimals(std::get<Depth>(parser.parse(kSpot, kSpotDepth)).levels),
            "b61737.63:0.5 b61730.17:0 a61837.64:1.54698 ");
}

TEST(Parser, GrowsForALineLongerThanExpected) {
  LineParser parser{64};
  std::string levels;
  for (int level = 0; level < 20'000; ++level)
    levels += R"(,["61837.64","1.54698"])";
  const std::string json = replaced(kSpotDepth, R"(["61837.64","1.54698"])", levels.substr(1));
  EXPECT_EQ(std::get<Depth>(parser.parse(kSpot, json)).levels.size(), 20'002U);
  EXPECT_TRUE(std::holds_alternative<Trade>(parser.parse(kSpot, kTrade)));
}

TEST(Parser, ReadsBytesInPlaceWhateverStandsBehindThem) {
  LineParser parser;
  const std::string json = kTrade;
  for (const char behind : {'\0', '"', '}', '9', '\xff'}) {
    const std::string padded = json + std::string(LineParser::kPaddingBytes, behind);
    const Parsed parsed =
        parser.parse(kSpot, std::string_view{padded}.substr(0, json.size()), LineParser::kPaddingBytes);
    EXPECT_TRUE(std::holds_alternative<Trade>(parsed)) << behind;
  }
}

TEST(Parser, NeverCrashesOnDamagedLines) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  LineParser parser;
  const std::string originals[] = {kTrade, kTicker, kSpotDepth, kSnapshot};
  for (int round = 0; round < 20'000; ++round) {
    std::string json = originals[random() % std::size(originals)];
    for (unsigned change = 0; change <= random() % 3; ++change)
      json[random() % json.size()] = static_cast<char>(random());
    const Parsed parsed = parser.parse(kSpot, json);
    if (const auto* rejected = std::get_if<Rejected>(&parsed)) {
      EXPECT_FALSE(rejected->reason.empty());
      EXPECT_EQ(rejected->reason.find_first_of("\t\n"), std::string_view::npos);
    }
  }
}

}  // namespace
}  // namespace market
