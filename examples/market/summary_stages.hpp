// SPDX-License-Identifier: Apache-2.0
// The stages `tickers` and `counts`: the last ticker of each instrument, and how many events of each kind it
// had (summaries.hpp); told at the end of the stream.
#pragma once

#include <sluice/sluice.hpp>

#include "market/events.hpp"
#include "market/summaries.hpp"

namespace market {

class TickerStage {
 public:
  explicit TickerStage(sluice::Worker& worker) : last_{worker} {}

  void operator()(const Ticker& ticker, sluice::Output<RowRecord>&) { last_.take(ticker); }
  void finish(sluice::Output<RowRecord>& rows) {
    last_.tell([&rows](Output output, const RowText& row) { rows.push(RowHead{output, 0}, row.text()); });
  }

 private:
  LastTickers<sluice::Worker> last_;
};

class CountStage {
 public:
  explicit CountStage(sluice::Worker& worker) : counts_{worker} {}

  void operator()(const Tally& tally, sluice::Output<RowRecord>&) { counts_.take(tally); }
  void finish(sluice::Output<RowRecord>& rows) {
    counts_.tell([&rows](Output output, const RowText& row) { rows.push(RowHead{output, 0}, row.text()); });
  }

 private:
  EventCounts<sluice::Worker> counts_;
};

}  // namespace market
