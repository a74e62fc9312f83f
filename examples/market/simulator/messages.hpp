// SPDX-License-Identifier: Apache-2.0
// The texts that the exchanges send, byte for byte in the shape of the real feed: fields, order and decimals.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "book.hpp"
#include "instruments.hpp"

namespace simulator {

// The exchange's clock when it sent a message and when it matched the event in it.
struct Clock {
  std::int64_t sent_ms = 0;
  std::int64_t matched_ms = 0;
};

struct TradeMessage {
  Clock clock;
  std::int64_t id = 0;
  PriceLevel traded;
  bool buyer_is_maker = false;
};

struct TickerMessage {
  Clock clock;
  std::int64_t update_id = 0;
  PriceLevel bid;
  PriceLevel ask;
};

struct DepthMessage {
  Clock clock;
  std::int64_t first_id = 0;
  std::int64_t last_id = 0;
  std::int64_t previous_id = 0;
  std::vector<PriceLevel> bids;
  std::vector<PriceLevel> asks;
};

struct SnapshotMessage {
  Clock clock;
  std::int64_t update_id = 0;
  std::vector<PriceLevel> bids;
  std::vector<PriceLevel> asks;
};

std::string json(const Instrument& instrument, const TradeMessage& message);
std::string json(const Instrument& instrument, const TickerMessage& message);
std::string json(const Instrument& instrument, const DepthMessage& message);
std::string json(const Instrument& instrument, const SnapshotMessage& message);

}  // namespace simulator
