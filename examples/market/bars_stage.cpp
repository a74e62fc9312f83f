#include "market/bars_stage.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace market {
namespace {

constexpr std::uint64_t kInstruments = 1024;
constexpr std::uint64_t kBars = 90'000;
constexpr std::uint64_t kSlotsAPortion = 1024;

std::int64_t second_of(std::int64_t milliseconds) {
  return milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0);
}

}  // namespace

BarsStage::BarsStage(sluice::Worker& worker)
    : worker_{worker},
      totals_{worker.table<Instrument, Total>("totals", kInstruments)},
      bars_{worker.table<BarKey, Bar>("bars", kBars)},
      told_{worker.state<std::uint64_t>("told")} {}

void BarsStage::operator()(const Trade& trade, sluice::Outlet<RowRecord>&) {
  add_to_total(trade);
  add_to_bar(trade);
}

void BarsStage::add_to_total(const Trade& trade) {
  const bool is_new = !totals_.contains(trade.instrument);
  Total& total = totals_[trade.instrument];
  if (is_new) {
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
  if (!add(total.quantity, trade.quantity) || !add(total.notional, trade.price, trade.quantity)) {
    worker_.report(fmt::format("the sums of {} {} do not fit 128 bits any more",
                               trade.instrument.venue.text(), trade.instrument.symbol.text()));
  }
}

void BarsStage::add_to_bar(const Trade& trade) {
  const BarKey key{trade.instrument, second_of(trade.trade_time_ms)};
  const bool is_new = !bars_.contains(key);
  Bar& bar = bars_[key];
  if (is_new) bar.open = bar.high = bar.low = trade.price;
  bar.high = std::max(bar.high, trade.price);
  bar.low = std::min(bar.low, trade.price);
  bar.close = trade.price;
  ++bar.trades;
  // What does not fit here does not fit the total of the instrument, which reports it.
  (void)add(bar.volume, trade.quantity);
}

bool BarsStage::finish(sluice::Outlet<RowRecord>& rows) {
  if (*told_ == 0) {
    totals_.for_each(
        [&](const Instrument& instrument, const Total& total) { push_total(instrument, total, rows); });
  }
  const std::uint64_t end = std::min(*told_ + kSlotsAPortion, bars_.slots());
  for (std::uint64_t slot = *told_; slot < end; ++slot) {
    const auto* row = bars_.slot(slot);
    if (row != nullptr) push_bar(row->key, row->value, rows);
  }
  told_.set(end);
  return end < bars_.slots();
}

void BarsStage::push_total(const Instrument& instrument, const Total& total,
                           sluice::Outlet<RowRecord>& rows) {
  RowText row;
  row.key(instrument).field(instrument).number(static_cast<std::int64_t>(total.trades));
  row.decimal(total.quantity).decimal(total.notional);
  row.number(static_cast<std::int64_t>(total.buyer_maker));
  row.decimal(total.first).decimal(total.last).decimal(total.lowest).decimal(total.highest);
  row.number(static_cast<std::int64_t>(total.id_gaps));
  rows.push(RowHead{Output::trades, 0}, row.text());
}

void BarsStage::push_bar(const BarKey& key, const Bar& bar, sluice::Outlet<RowRecord>& rows) {
  RowText row;
  row.key(key.instrument).key(key.second).field(key.instrument).number(key.second);
  row.decimal(bar.open).decimal(bar.high).decimal(bar.low).decimal(bar.close).decimal(bar.volume);
  row.number(static_cast<std::int64_t>(bar.trades));
  rows.push(RowHead{Output::bars, 0}, row.text());
}

}  // namespace market
