// SPDX-License-Identifier: Apache-2.0
#include "instrument.hpp"

#include <algorithm>
#include <utility>

namespace reference {
namespace {

std::int64_t second_of(std::int64_t time_ms) {
  const std::int64_t second = time_ms / 1000;
  return time_ms % 1000 < 0 ? second - 1 : second;
}

void set_levels(Book::Side& side, const std::vector<Level>& levels) {
  for (const Level& level : levels) {
    if (level.quantity.is_zero()) {
      side.erase(level.price);
    } else {
      side[level.price] = level.quantity;
    }
  }
}

// A snapshot's levels are the book as they stand, a quantity of 0 too.
Book::Side side_of(const std::vector<Level>& levels) {
  Book::Side side;
  for (const Level& level : levels)
    side[level.price] = level.quantity;
  return side;
}

}  // namespace

void TradeTotals::add(const Trade& trade) {
  if (trades == 0) {
    first = lowest = highest = trade.price;
  } else if (trade.id != last_id + 1) {
    ++id_gaps;
  }
  ++trades;
  buyer_maker += trade.buyer_is_maker ? 1 : 0;
  quantity = quantity + trade.quantity;
  notional = notional + trade.price * trade.quantity;
  last = trade.price;
  lowest = std::min(lowest, trade.price);
  highest = std::max(highest, trade.price);
  last_id = trade.id;
}

void Bar::add(const Trade& trade) {
  if (trades == 0) open = high = low = trade.price;
  high = std::max(high, trade.price);
  low = std::min(low, trade.price);
  close = trade.price;
  volume = volume + trade.quantity;
  ++trades;
}

void Book::take(const Snapshot& snapshot) {
  started_ = true;
  snapshot_id_ = snapshot.update_id;
  bids_ = side_of(snapshot.bids);
  asks_ = side_of(snapshot.asks);
  last_id_.reset();
  for (Depth& update : std::exchange(waiting_, {}))
    take(std::move(update));
}

void Book::take(Depth update) {
  if (!started_) {
    waiting_.push_back(std::move(update));
    return;
  }
  const bool old = spot_ ? update.last_id <= snapshot_id_ : update.last_id < snapshot_id_;
  if (old) {
    ++dropped_;
  } else {
    apply(update);
  }
}

void Book::apply(const Depth& update) {
  if (last_id_) {
    const bool follows = spot_ ? update.first_id == *last_id_ + 1 : update.previous_id == *last_id_;
    if (!follows) ++gaps_;
  }
  last_id_ = update.last_id;
  ++applied_;
  set_levels(bids_, update.bids);
  set_levels(asks_, update.asks);
}

void Instrument::take(Event event) {
  ++counts[event.kind];
  if (const auto* trade = std::get_if<Trade>(&event.body)) {
    trades.add(*trade);
    bars[second_of(trade->time_ms)].add(*trade);
  } else if (const auto* last = std::get_if<Ticker>(&event.body)) {
    ticker = *last;
  } else if (auto* depth = std::get_if<Depth>(&event.body)) {
    book.take(std::move(*depth));
  } else if (auto* snapshot = std::get_if<Snapshot>(&event.body)) {
    book.take(*snapshot);
  }
}

}  // namespace reference
