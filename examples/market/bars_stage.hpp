// The stage `bars`: one-second bars and totals of the trades of each instrument, told at the end of the
// stream.
//
// A bar's second is the trade's time, rounded down; its open and close go by the order of arrival.
#pragma once

#include <cstdint>

#include <sluice/sluice.hpp>

#include "market/events.hpp"

namespace market {

class BarsStage {
 public:
  explicit BarsStage(sluice::Worker& worker);

  void operator()(const Trade& trade, sluice::Outlet<RowRecord>& rows);
  // In portions: there can be more rows than a lane holds.
  bool finish(sluice::Outlet<RowRecord>& rows);

 private:
  struct BarKey {
    Instrument instrument;
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
    std::uint64_t trades;
    std::uint64_t buyer_maker;
    Decimal first;
    Decimal last;
    Decimal lowest;
    Decimal highest;
    std::int64_t last_id;
    std::uint64_t id_gaps;
  };

  void add_to_total(const Trade& trade);
  void add_to_bar(const Trade& trade);
  void push_total(const Instrument& instrument, const Total& total, sluice::Outlet<RowRecord>& rows);
  void push_bar(const BarKey& key, const Bar& bar, sluice::Outlet<RowRecord>& rows);

  sluice::Worker& worker_;
  sluice::Table<Instrument, Total> totals_;
  sluice::Table<BarKey, Bar> bars_;
  sluice::Recoverable<std::uint64_t> told_;  // Slots of the table of bars whose rows are out.
};

}  // namespace market
