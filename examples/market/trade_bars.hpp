// SPDX-License-Identifier: Apache-2.0
// What an instrument's trades come to, and its one-second bars, over memory of any kind (tables.hpp).
//
// A bar's second is that of the trade's time, rounded down; its open and close go by the order of arrival.
#pragma once

#include <algorithm>
#include <cstdint>
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

  // False when the sums of the instrument do not fit 128 bits any more: then they stand as they were.
  [[nodiscard]] bool take(const Trade& trade) {
    Total& total = totals_[trade.instrument];
    const bool fits = add_to_total(total, trade);
    add_to_bar(total.number, trade);
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
      const Instrument& instrument = instruments_.at(found->key.instrument);
      const Bar& bar = found->value;
      RowText row;
      row.key(instrument).key(found->key.second).field(instrument).number(found->key.second);
      row.decimal(bar.open).decimal(bar.high).decimal(bar.low).decimal(bar.close).decimal(bar.volume);
      row.number(static_cast<std::int64_t>(bar.trades));
      push(Output::bars, row);
    }
  }
  std::uint64_t bar_slots() const { return bars_.slots(); }

 private:
  static constexpr std::uint64_t kInstruments = 1024;
  static constexpr std::uint64_t kBars = 24'000;

  struct BarKey {
    std::uint64_t instrument;  // Its number.
    std::int64_t second;
    bool operator==(const BarKey&) const = default;
  };
  struct Bar {
    Decimal open;
    Decimal high;
    Decimal low;
    Decimal close;
    QuantitySum volume;
    std::uint64_t trades;
    std::uint64_t reserved;
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
    std::uint64_t reserved;
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
    return add(total.quantity, trade.quantity) && add(total.notional, trade.price, trade.quantity);
  }

  void add_to_bar(std::uint64_t instrument, const Trade& trade) {
    Bar& bar = bars_[{instrument, second_of(trade.trade_time_ms)}];
    if (bar.trades == 0) bar.open = bar.high = bar.low = trade.price;
    bar.high = std::max(bar.high, trade.price);
    bar.low = std::min(bar.low, trade.price);
    bar.close = trade.price;
    ++bar.trades;
    // What does not fit here does not fit the total of the instrument, which says so.
    (void)add(bar.volume, trade.quantity);
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
