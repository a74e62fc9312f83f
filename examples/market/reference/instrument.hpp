// SPDX-License-Identifier: Apache-2.0
// All that is known of one instrument: totals of its trades, its bars, its book and its last ticker.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "decimal.hpp"
#include "event.hpp"

namespace reference {

struct TradeTotals {
  std::int64_t trades = 0;
  std::int64_t buyer_maker = 0;
  std::int64_t id_gaps = 0;
  std::int64_t last_id = 0;
  Decimal quantity;
  Decimal notional;  // Sum of price times quantity.
  Decimal first;
  Decimal last;
  Decimal lowest;
  Decimal highest;

  void add(const Trade& trade);
};

struct Bar {
  Decimal open;
  Decimal high;
  Decimal low;
  Decimal close;
  Decimal volume;
  std::int64_t trades = 0;

  void add(const Trade& trade);
};

// A level-2 book. Updates wait until the first snapshot; a later snapshot replaces the book at once.
class Book {
 public:
  // The spot venue numbers updates without holes and counts a snapshot's own number as seen.
  explicit Book(bool spot) : spot_{spot} {}

  void take(const Snapshot& snapshot);
  void take(Depth update);

  using Side = std::map<Decimal, Decimal>;  // Quantity by price.
  bool started() const noexcept { return started_; }
  const Side& bids() const noexcept { return bids_; }
  const Side& asks() const noexcept { return asks_; }
  std::int64_t snapshot_id() const noexcept { return snapshot_id_; }
  std::int64_t dropped() const noexcept { return dropped_; }
  std::int64_t applied() const noexcept { return applied_; }
  std::int64_t gaps() const noexcept { return gaps_; }
  std::optional<std::int64_t> last_id() const noexcept { return last_id_; }  // None right after a snapshot.

 private:
  void apply(const Depth& update);

  bool spot_;
  bool started_ = false;
  std::vector<Depth> waiting_;
  Side bids_;
  Side asks_;
  std::int64_t snapshot_id_ = 0;
  std::int64_t dropped_ = 0;
  std::int64_t applied_ = 0;
  std::int64_t gaps_ = 0;
  std::optional<std::int64_t> last_id_;
};

struct Instrument {
  explicit Instrument(const std::string& venue) : book{venue == "spot"} {}

  void take(Event event);

  std::map<std::string, std::int64_t> counts;  // By kind.
  TradeTotals trades;
  std::map<std::int64_t, Bar> bars;  // By second.
  Book book;
  std::optional<Ticker> ticker;
};

using InstrumentKey =
    std::pair<std::string, std::string>;  // Venue and symbol, the order of every answer file.
using Market = std::map<InstrumentKey, Instrument>;

}  // namespace reference
