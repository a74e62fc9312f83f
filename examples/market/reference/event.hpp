// SPDX-License-Identifier: Apache-2.0
// One market event, checked whole before it has any effect: an event is taken or rejected, never half of
// each.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "capture.hpp"
#include "decimal.hpp"

namespace reference {

struct Trade {
  Decimal price;
  Decimal quantity;
  std::int64_t time_ms = 0;
  std::int64_t id = 0;
  bool buyer_is_maker = false;
};

struct Ticker {
  Decimal bid;
  Decimal bid_quantity;
  Decimal ask;
  Decimal ask_quantity;
  std::int64_t update_id = 0;
};

struct Level {
  Decimal price;
  Decimal quantity;
};

struct Depth {
  std::int64_t first_id = 0;
  std::int64_t last_id = 0;
  std::int64_t previous_id =
      0;  // The last_id of the update before; 0 at the spot venue, which does not send it.
  std::vector<Level> bids;
  std::vector<Level> asks;
};

struct Snapshot {
  std::int64_t update_id = 0;
  std::vector<Level> bids;
  std::vector<Level> asks;
};

struct Unknown {};  // A stream that is counted and nothing more.

struct Event {
  std::string symbol;
  std::string kind;  // trade, bookTicker, depth, snapshot, or whatever else the stream is called.
  std::variant<Unknown, Trade, Ticker, Depth, Snapshot> body;
};

// Parses with a document tree, so that a document is well formed to its last byte before a field is looked
// at.
class EventParser {
 public:
  EventParser();
  EventParser(const EventParser&) = delete;
  EventParser& operator=(const EventParser&) = delete;
  ~EventParser();

  Event parse(const CaptureLine& line);  // Throws BadLine.

 private:
  struct Tree;
  std::unique_ptr<Tree> tree_;
};

}  // namespace reference
