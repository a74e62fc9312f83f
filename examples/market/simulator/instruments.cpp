// SPDX-License-Identifier: Apache-2.0
#include "instruments.hpp"

#include <array>

namespace simulator {
namespace {

// A coin's price and ticks are in 10^-8, the finest that the venues print.
struct Coin {
  const char* name;
  std::int64_t price;
  std::array<std::int64_t, 3> ticks;  // Spot, usdm, cm.
  std::array<int, 3> price_decimals;  // As printed.
  std::array<std::int64_t, 3> usual;  // Usual quantity in the venue's last decimal.
};

constexpr std::array<int, 3> kQuantityDecimals{8, 3, 0};
constexpr std::array<std::int64_t, 3> kLots{1000, 1, 1};
constexpr std::array<std::int64_t, 3> kWeights{90, 150, 105};

constexpr std::array kCoins{
    Coin{"BTC", 6'183'763'000'000, {1'000'000, 10'000'000, 10'000'000}, {8, 2, 1}, {40'000'000, 400, 300}},
    Coin{"ETH", 268'380'000'000, {1'000'000, 1'000'000, 1'000'000}, {8, 2, 2}, {400'000'000, 6'000, 900}},
    Coin{"SOL", 15'412'000'000, {1'000'000, 100'000, 1'000'000}, {8, 4, 2}, {2'000'000'000, 30'000, 400}},
    Coin{"BNB", 51'230'000'000, {10'000'000, 1'000'000, 1'000'000}, {8, 2, 2}, {300'000'000, 5'000, 200}},
    Coin{"LTC", 6'120'000'000, {1'000'000, 1'000'000, 1'000'000}, {8, 2, 2}, {1'500'000'000, 20'000, 150}},
    Coin{"XRP", 60'130'000, {10'000, 10'000, 10'000}, {8, 4, 4}, {90'000'000'000, 900'000, 250}},
};
static_assert(kCoins.size() * 3 == kMaxInstruments);

std::int64_t printed_unit(int decimals) {
  std::int64_t unit = 1;
  for (int digit = decimals; digit < 8; ++digit)
    unit *= 10;
  return unit;
}

Instrument make_instrument(const Coin& coin, std::size_t coin_index, Venue venue) {
  const auto at = static_cast<std::size_t>(venue);
  const std::int64_t unit = printed_unit(coin.price_decimals[at]);
  Instrument instrument;
  instrument.venue = venue;
  instrument.symbol =
      venue == Venue::cm ? std::string{coin.name} + "USD_PERP" : std::string{coin.name} + "USDT";
  instrument.pair = std::string{coin.name} + "USD";
  instrument.price_decimals = coin.price_decimals[at];
  instrument.quantity_decimals = kQuantityDecimals[at];
  instrument.start_price = coin.price / coin.ticks[at] * coin.ticks[at] / unit;
  instrument.tick = coin.ticks[at] / unit;
  instrument.lot = kLots[at];
  instrument.usual_quantity = coin.usual[at];
  instrument.weight = kWeights[at] * 10 / (10 + 2 * static_cast<std::int64_t>(coin_index));
  return instrument;
}

}  // namespace

std::string_view venue_name(Venue venue) {
  switch (venue) {
    case Venue::spot:
      return "spot";
    case Venue::usdm:
      return "usdm";
    case Venue::cm:
      return "cm";
  }
  return "";
}

std::vector<Instrument> make_instruments(int count) {
  std::vector<Instrument> instruments;
  for (std::size_t coin = 0; coin < kCoins.size(); ++coin) {
    for (const Venue venue : {Venue::spot, Venue::usdm, Venue::cm}) {
      if (instruments.size() == static_cast<std::size_t>(count)) return instruments;
      instruments.push_back(make_instrument(kCoins[coin], coin, venue));
    }
  }
  return instruments;
}

}  // namespace simulator
