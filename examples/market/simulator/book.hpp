// SPDX-License-Identifier: Apache-2.0
// The exchange's own book of one instrument, moved by chance, and what changed since the last depth update.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "instruments.hpp"
#include "random.hpp"

namespace simulator {

enum class Side { bid, ask };

struct PriceLevel {
  std::int64_t price = 0;
  std::int64_t quantity = 0;  // 0 in a change: the level is gone.
};

// Invariants: both sides hold levels, and the best bid is below the best ask.
class Book {
 public:
  Book(const Instrument& instrument, Random& random);

  PriceLevel best(Side side) const;
  std::vector<PriceLevel> top(Side side, std::size_t count) const;  // Best first.

  // Each of these changes at least one level.
  void change_somewhere(Random& random);
  void change_best(Random& random);
  void walk(Random& random, bool up);  // The price moves: levels in the way go, the other side follows.
  // A trade against the best level of a side; gives what was traded.
  PriceLevel trade(Random& random, Side side);

  // Changes made since the last call, best price last for bids and first for asks, with the quantity they
  // have now.
  std::vector<PriceLevel> take_changes(Side side);
  std::int64_t change_count() const noexcept {
    return change_count_;
  }  // Grows by one with every level changed.

 private:
  using Levels = std::map<std::int64_t, std::int64_t>;
  Levels& levels(Side side) { return side == Side::bid ? bids_ : asks_; }
  const Levels& levels(Side side) const { return side == Side::bid ? bids_ : asks_; }
  std::int64_t outwards(Side side) const { return side == Side::bid ? -tick_ : tick_; }
  std::int64_t random_quantity(Random& random) const;
  void set(Side side, std::int64_t price, std::int64_t quantity);
  void remove_best(Side side);
  void remove_farthest(Side side);

  std::int64_t tick_;
  std::int64_t lot_;
  std::int64_t usual_quantity_;
  Levels bids_;
  Levels asks_;
  std::set<std::int64_t> changed_bids_;
  std::set<std::int64_t> changed_asks_;
  std::int64_t change_count_ = 0;
};

}  // namespace simulator
