// SPDX-License-Identifier: Apache-2.0
// The stage `parse`: capture lines in, events of the market out, one stream a kind. Stateless, so that a worker may have
// several threads for it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sluice/sluice.hpp>

#include "market/events.hpp"
#include "market/parse.hpp"

namespace market {

class ParseStage {
 public:
  explicit ParseStage(std::vector<std::string> paths) : paths_{std::move(paths)} {}

  void operator()(const LineRecord& line, sluice::Output<Trade>& trades, sluice::Output<BookRecord>& books,
                  sluice::Output<Ticker>& tickers, sluice::Output<Tally>& tallies,
                  sluice::Output<RowRecord>& rows) const;

 private:
  std::vector<std::string> paths_;
};

}  // namespace market
