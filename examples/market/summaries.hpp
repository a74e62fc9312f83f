// SPDX-License-Identifier: Apache-2.0
// The last ticker of each instrument, and how many events of each kind it had, over memory of any kind
// (tables.hpp).
#pragma once

#include <cstdint>

#include "market/events.hpp"
#include "market/tables.hpp"

namespace market {

template <class Memory>
class LastTickers {
 public:
  explicit LastTickers(Memory& memory)
      : last_{memory.template table<Instrument, Ticker>("last", kInstruments)} {}

  void take(const Ticker& ticker) { last_[ticker.instrument] = ticker; }

  void tell(auto&& push) const {
    last_.for_each([&](const Instrument& instrument, const Ticker& ticker) {
      RowText row;
      row.key(instrument).field(instrument).decimal(ticker.bid).decimal(ticker.bid_quantity);
      row.decimal(ticker.ask).decimal(ticker.ask_quantity).number(ticker.update_id);
      push(Output::last_ticker, row);
    });
  }

 private:
  static constexpr std::uint64_t kInstruments = 1024;

  TableIn<Memory, Instrument, Ticker> last_;
};

template <class Memory>
class EventCounts {
 public:
  explicit EventCounts(Memory& memory)
      : counts_{memory.template table<Tally, std::uint64_t>("counts", kCounts)} {}

  void take(const Tally& tally) { ++counts_[tally]; }

  void tell(auto&& push) const {
    counts_.for_each([&](const Tally& tally, std::uint64_t count) {
      RowText row;
      row.key(tally.instrument).key(tally.kind.text()).field(tally.instrument).field(tally.kind.text());
      row.number(static_cast<std::int64_t>(count));
      push(Output::event_counts, row);
    });
  }

 private:
  static constexpr std::uint64_t kCounts = 6'000;

  TableIn<Memory, Tally, std::uint64_t> counts_;
};

}  // namespace market
