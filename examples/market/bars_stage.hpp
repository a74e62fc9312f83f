// SPDX-License-Identifier: Apache-2.0
// The stage `bars`: trade totals of each instrument and its one-second bars (trade_bars.hpp), told at the end
// of the stream.
#pragma once

#include <cstdint>

#include <sluice/sluice.hpp>

#include "market/events.hpp"
#include "market/trade_bars.hpp"

namespace market {

class BarsStage {
 public:
  explicit BarsStage(sluice::Worker& worker)
      : worker_{worker}, bars_{worker}, told_{worker.state<std::uint64_t>("told")} {}

  void operator()(const Trade& trade, sluice::Output<RowRecord>& rows);
  // In portions: there can be more rows than a lane holds.
  bool finish(sluice::Output<RowRecord>& rows);

 private:
  sluice::Worker& worker_;
  TradeBars<sluice::Worker> bars_;
  sluice::Recoverable<std::uint64_t> told_;  // Slots of the table of bars whose rows are out.
};

// The problem when sums do not fit.
std::string sums_do_not_fit(const Instrument& instrument);

}  // namespace market
