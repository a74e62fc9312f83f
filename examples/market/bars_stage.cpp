// SPDX-License-Identifier: Apache-2.0
#include "market/bars_stage.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace market {
namespace {

constexpr std::uint64_t kSlotsAPortion = 1024;

}  // namespace

void BarsStage::operator()(const Trade& trade, sluice::Output<RowRecord>& rows) {
  const auto push = [&rows](Output output, const RowText& row) { rows.push(RowHead{output, 0}, row.text()); };
  if (!bars_.take(trade, push)) worker_.report(sums_do_not_fit(trade.instrument));
}

bool BarsStage::finish(sluice::Output<RowRecord>& rows) {
  const auto push = [&rows](Output output, const RowText& row) { rows.push(RowHead{output, 0}, row.text()); };
  if (*told_ == 0) bars_.tell_totals(push);
  const std::uint64_t end = std::min(*told_ + kSlotsAPortion, bars_.bar_slots());
  bars_.tell_bars(*told_, end, push);
  told_.set(end);
  return end < bars_.bar_slots();
}

std::string sums_do_not_fit(const Instrument& instrument) {
  return fmt::format("the sums of {} {} do not fit 128 bits any more", instrument.venue.text(),
                     instrument.symbol.text());
}

}  // namespace market
