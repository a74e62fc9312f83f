// The stages `tickers` and `counts`: the last ticker of each instrument, and how many events of each kind it
// had; told at the end of the stream.
#pragma once

#include <cstdint>

#include <sluice/sluice.hpp>

#include "market/events.hpp"

namespace market {

class TickerStage {
 public:
  explicit TickerStage(sluice::Worker& worker);

  void operator()(const Ticker& ticker, sluice::Outlet<RowRecord>& rows);
  void finish(sluice::Outlet<RowRecord>& rows);

 private:
  sluice::Table<Instrument, Ticker> last_;
};

class CountStage {
 public:
  explicit CountStage(sluice::Worker& worker);

  void operator()(const Tally& tally, sluice::Outlet<RowRecord>& rows);
  void finish(sluice::Outlet<RowRecord>& rows);

 private:
  struct CountKey {
    Instrument instrument;
    KindName kind;
    bool operator==(const CountKey&) const = default;
  };
  sluice::Table<CountKey, std::uint64_t> counts_;
};

}  // namespace market
