// SPDX-License-Identifier: Apache-2.0
// What an instrument's trades come to, and its one-second bars, over memory of any kind (tables.hpp).
//
// A bar's second is that of the trade's time, rounded down; its open and close go by the order of arrival.
//
// A day has 86,400 seconds, and nobody knows how many instruments a capture has, so only the newest bars are
// kept: a bar makes way for the one kSecondsKept later and is told then. A trade that comes after that is told
// as a bar of its own. The parts of one bar are numbered, and merge_bars() (bar_rows.hpp) makes one of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "market/events.hpp"
#include "market/tables.hpp"

namespace market {

template <class Memory>
class TradeBars {
 public:
  explicit TradeBars(Memory& memory)
      : totals_{memory.template table<Instrument, Total>("totals", kInstruments)},
        bars_{memory.template table<BarKey, Bar>("bars", kBars)} {}

  // push(Output, row) for a bar that makes way. False when the sums of the instrument do not fit 128 bits any
  // more: then they stand as they were.
  [[nodiscard]] bool take(const Trade& trade, auto&& push) {
    Total& total = totals_[trade.instrument];
    const bool fits = add_to_total(total, trade);
    add_to_bar(total, trade, push);
    return fits;
  }

  // push(Output, row) for the total of every instrument.
  void tell_totals(auto&& push) const {
    totals_.for_each([&](const Instrument& instrument, const Total& total) {
      RowText row;
      row.key(instrument).field(instrument).number(static_cast<std::int64_t>(total.trades));
      row.decimal(total.quantity).decimal(total.notional);
      row.number(static_cast<std::int64_t>(total.buyer_maker));
      row.decimal(total.first).decimal(total.last).decimal(total.lowest).decimal(total.highest);
      row.number(static_cast<std::int64_t>(total.id_gaps));
      push(Output::trades, row);
    });
  }
  // The same for the bars in slots [from, to) of bar_slots(), once no more trades come.
  void tell_bars(std::uint64_t from, std::uint64_t to, auto&& push) {
    name_instruments();
    for (std::uint64_t slot = from; slot < to; ++slot) {
      const auto* found = bars_.slot(slot);
      if (found == nullptr) continue;
      push(Output::bars, row_of(instruments_.at(found->key.instrument), found->value, kLastPart));
    }
  }
  std::uint64_t bar_slots() const { return bars_.slots(); }

 private:
  static constexpr std::uint64_t kInstruments = 1024;
  static constexpr std::uint64_t kBars = 24'000;
  static constexpr std::uint64_t kSecondsKept = 256;  // Of an instrument: those of 93 fit.
  static constexpr std::uint64_t kLastPart = std::numeric_limits<std::int64_t>::max();

  struct BarKey {
    std::uint64_t instrument;  // Its number.
    std::uint64_t slot;        // The bar's second, modulo kSecondsKept.
    bool operator==(const BarKey&) const = default;
  };
  struct Bar {
    Decimal open;
    Decimal high;
    Decimal low;
    Decimal close;
    QuantitySum volume;
    std::uint64_t trades;
    std::int64_t second;
  };
  struct Total {
    QuantitySum quantity;
    NotionalSum notional;
    std::uint64_t number;  // Of the instrument, from 1.
    std::uint64_t trades;
    std::uint64_t buyer_maker;
    Decimal first;
    Decimal last;
    Decimal lowest;
    Decimal highest;
    std::int64_t last_id;
    std::uint64_t id_gaps;
    std::uint64_t parts;  // Of bars that were told before the end.
  };

  bool add_to_total(Total& total, const Trade& trade) {
    if (total.trades == 0) {
      total.number = totals_.size();
      total.first = total.lowest = total.highest = trade.price;
    } else if (trade.trade_id != total.last_id + 1) {
      ++total.id_gaps;
    }
    total.last = trade.price;
    total.last_id = trade.trade_id;
    total.lowest = std::min(total.lowest, trade.price);
    total.highest = std::max(total.highest, trade.price);
    ++total.trades;
    if (trade.buyer_maker) ++total.buyer_maker;
    return sluice::add(total.quantity, trade.quantity) &&
           sluice::add(total.notional, trade.price, trade.quantity);
  }

  void add_to_bar(Total& total, const Trade& trade, auto&& push) {
    const std::int64_t second = second_of(trade.trade_time_ms);
    const BarKey key{total.number, static_cast<std::uint64_t>(second) % kSecondsKept};
    const bool has_room = bars_.size() < kBars || bars_.find(key) != nullptr;
    if (!has_room) return tell_alone(total, trade, second, push);
    Bar& bar = bars_[key];
    if (bar.trades != 0 && bar.second != second) {
      if (second < bar.second) return tell_alone(total, trade, second, push);
      push(Output::bars, row_of(trade.instrument, bar, total.parts++));
      bar = Bar{};
    }
    add(bar, trade, second);
  }

  static void add(Bar& bar, const Trade& trade, std::int64_t second) {
    if (bar.trades == 0) bar.open = bar.high = bar.low = trade.price;
    bar.second = second;
    bar.high = std::max(bar.high, trade.price);
    bar.low = std::min(bar.low, trade.price);
    bar.close = trade.price;
    ++bar.trades;
    // What does not fit here does not fit the total of the instrument, which says so.
    (void)sluice::add(bar.volume, trade.quantity);
  }

  // A trade that comes too late for its bar, or whose bar finds no room.
  static void tell_alone(Total& total, const Trade& trade, std::int64_t second, auto&& push) {
    Bar bar{};
    add(bar, trade, second);
    push(Output::bars, row_of(trade.instrument, bar, total.parts++));
  }

  static RowText row_of(const Instrument& instrument, const Bar& bar, std::uint64_t part) {
    RowText row;
    row.key(instrument).key(bar.second).key(static_cast<std::int64_t>(part));
    row.field(instrument).number(bar.second);
    row.decimal(bar.open).decimal(bar.high).decimal(bar.low).decimal(bar.close).decimal(bar.volume);
    row.number(static_cast<std::int64_t>(bar.trades));
    return row;
  }

  static std::int64_t second_of(std::int64_t milliseconds) {
    return milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0);
  }

  void name_instruments() {
    if (instruments_.size() > totals_.size()) return;
    instruments_.resize(totals_.size() + 1);
    totals_.for_each([this](const Instrument& instrument, const Total& total) {
      instruments_.at(total.number) = instrument;
    });
  }

  TableIn<Memory, Instrument, Total> totals_;
  TableIn<Memory, BarKey, Bar> bars_;
  std::vector<Instrument> instruments_;  // By their numbers, as the totals have them.
};

}  // namespace market
