// SPDX-License-Identifier: Apache-2.0
// The instruments of the simulated exchanges: how each prints its numbers, what it costs and how busy it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace simulator {

enum class Venue { spot, usdm, cm };
std::string_view venue_name(Venue venue);

// Prices and quantities are integers in the last printed decimal.
struct Instrument {
  Venue venue = Venue::spot;
  std::string symbol;
  std::string pair;  // What the cm venue calls the underlying.
  int price_decimals = 0;
  int quantity_decimals = 0;
  std::int64_t start_price = 0;
  std::int64_t tick = 1;
  std::int64_t lot = 1;
  std::int64_t usual_quantity = 1;
  std::int64_t weight = 1;  // Its share of the events, relative to the other instruments.
};

inline constexpr int kMaxInstruments = 18;
std::vector<Instrument> make_instruments(int count);  // At most kMaxInstruments, the busiest first.

}  // namespace simulator
