// SPDX-License-Identifier: Apache-2.0
// What names an instrument, and that it is a key in shared memory.

#include "market/instrument.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace market {
namespace {

Instrument instrument(std::string_view venue, std::string_view symbol) {
  const MadeInstrument made = make_instrument(venue, symbol);
  EXPECT_EQ(made.fault, "");
  return made.instrument;
}

TEST(Instrument, KeepsVenueAndSymbol) {
  const Instrument perpetual = instrument("cm", "BTCUSD_PERP");
  EXPECT_EQ(perpetual.venue.text(), "cm");
  EXPECT_EQ(perpetual.symbol.text(), "BTCUSD_PERP");
}

TEST(Instrument, UsesTheWholeLength) {
  const std::string venue(kMaxVenueBytes, 'v');
  const std::string symbol(kMaxSymbolBytes, 'S');
  EXPECT_EQ(instrument(venue, symbol).venue.text(), venue);
  EXPECT_EQ(instrument(venue, symbol).symbol.text(), symbol);
}

TEST(Instrument, IsOrderedByVenueThenSymbolAsTheAnswersAre) {
  EXPECT_LT(instrument("cm", "ZZZ"), instrument("spot", "AAA"));
  EXPECT_LT(instrument("spot", "BTC"), instrument("spot", "BTCUSDT"));
  EXPECT_LT(instrument("spot", "Z"), instrument("spot", "\xC3\xA4"));
  EXPECT_EQ(instrument("spot", "BTC"), instrument("spot", "BTC"));
  EXPECT_NE(instrument("spot", "BTC"), instrument("usdm", "BTC"));
}

TEST(Instrument, SaysWhichPartIsEmptyOrTooLong) {
  EXPECT_EQ(make_instrument("", "BTC").fault, "the venue is empty");
  EXPECT_EQ(make_instrument("spot", "").fault, "the symbol is empty");
  EXPECT_EQ(make_instrument(std::string(17, 'v'), "BTC").fault, "the venue is longer than 16 bytes");
  EXPECT_EQ(make_instrument("spot", std::string(33, 'S')).fault, "the symbol is longer than 32 bytes");
}

TEST(Instrument, RefusesWhatWouldBreakALineOfOutput) {
  EXPECT_EQ(make_instrument("spot", "BTC\tUSDT").fault, "the symbol has a control character");
  EXPECT_EQ(make_instrument("sp\not", "BTC").fault, "the venue has a control character");
  EXPECT_EQ(make_instrument("spot", std::string_view{"BTC\0", 4}).fault,
            "the symbol has a control character");
}

TEST(FixedText, StaysAsItWasWhenATextDoesNotFit) {
  KindName kind;
  ASSERT_EQ(kind.assign("bookTicker"), TextFault::none);
  EXPECT_EQ(kind.assign(std::string(33, 'k')), TextFault::too_long);
  EXPECT_EQ(kind.assign(""), TextFault::empty);
  EXPECT_EQ(kind.text(), "bookTicker");
  ASSERT_EQ(kind.assign("depth"), TextFault::none);
  KindName depth;
  ASSERT_EQ(depth.assign("depth"), TextFault::none);
  EXPECT_EQ(kind, depth);
}

}  // namespace
}  // namespace market
