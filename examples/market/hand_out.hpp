// SPDX-License-Identifier: Apache-2.0
// What becomes of one parsed line: which of the market's events it is handed out as.
#pragma once

#include <span>
#include <variant>

#include "market/events.hpp"
#include "market/parse.hpp"

namespace market {

// A taker has trade(Trade), book(BookHead, levels), ticker(Ticker), tally(Tally) and reject(reason). Every
// line that is an event is tallied too.
template <class Taker>
void hand_out(const Parsed& parsed, Taker&& taker) {
  Tally tally;
  if (const auto* rejected = std::get_if<Rejected>(&parsed)) {
    taker.reject(rejected->reason);
    return;
  }
  if (const auto* trade = std::get_if<Trade>(&parsed)) {
    tally.instrument = trade->instrument;
    taker.trade(*trade);
  } else if (const auto* ticker = std::get_if<Ticker>(&parsed)) {
    tally.instrument = ticker->instrument;
    taker.ticker(*ticker);
  } else if (const auto* depth = std::get_if<Depth>(&parsed)) {
    tally.instrument = depth->instrument;
    taker.book(BookHead{depth->instrument, depth->first_id, depth->last_id, depth->previous_id,
                        depth->has_previous_id ? 1U : 0U, 0},
               depth->levels);
  } else if (const auto* snapshot = std::get_if<Snapshot>(&parsed)) {
    tally.instrument = snapshot->instrument;
    taker.book(BookHead{snapshot->instrument, 0, snapshot->last_id, 0, 0, 1}, snapshot->levels);
  } else {
    tally.instrument = std::get<OtherEvent>(parsed).instrument;
  }
  tally.kind = kind_name(parsed);
  taker.tally(tally);
}

}  // namespace market
