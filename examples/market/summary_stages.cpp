#include "market/summary_stages.hpp"

namespace market {
namespace {

constexpr std::uint64_t kInstruments = 1024;
constexpr std::uint64_t kCounts = 8192;

}  // namespace

TickerStage::TickerStage(sluice::Worker& worker)
    : last_{worker.table<Instrument, Ticker>("last", kInstruments)} {}

void TickerStage::operator()(const Ticker& ticker, sluice::Outlet<RowRecord>&) {
  last_[ticker.instrument] = ticker;
}

void TickerStage::finish(sluice::Outlet<RowRecord>& rows) {
  last_.for_each([&](const Instrument& instrument, const Ticker& ticker) {
    RowText row;
    row.key(instrument).field(instrument).decimal(ticker.bid).decimal(ticker.bid_quantity);
    row.decimal(ticker.ask).decimal(ticker.ask_quantity).number(ticker.update_id);
    rows.push(RowHead{Output::last_ticker, 0}, row.text());
  });
}

CountStage::CountStage(sluice::Worker& worker)
    : counts_{worker.table<CountKey, std::uint64_t>("counts", kCounts)} {}

void CountStage::operator()(const Tally& tally, sluice::Outlet<RowRecord>&) {
  ++counts_[{tally.instrument, tally.kind}];
}

void CountStage::finish(sluice::Outlet<RowRecord>& rows) {
  counts_.for_each([&](const CountKey& key, std::uint64_t count) {
    RowText row;
    row.key(key.instrument).key(key.kind.text()).field(key.instrument).field(key.kind.text());
    row.number(static_cast<std::int64_t>(count));
    rows.push(RowHead{Output::event_counts, 0}, row.text());
  });
}

}  // namespace market
