// SPDX-License-Identifier: Apache-2.0
// The market on several machines: lines of captures come from JetStream by instrument, and the rows of its answers go back there. The
// stages are the example's own.
#include <string>
#include <utility>
#include <vector>

#include <sluice/cluster.hpp>
#include <sluice/connect/nats_sink.hpp>
#include <sluice/connect/nats_source.hpp>
#include <sluice/sluice.hpp>

#include "market/bars_stage.hpp"
#include "market/book_stage.hpp"
#include "market/parse_stage.hpp"
#include "market/summary_stages.hpp"
#include "market_wire.hpp"

namespace {

using market::LineRecord;
using market::RowRecord;

class Lines {
 public:
  Lines(sluice::Worker& worker, sluice::NatsSourceOptions options) : messages_{worker, std::move(options)} {}

  bool operator()(sluice::Output<LineRecord>& lines) {
    const sluice::NatsMessage* message = messages_.next();
    if (message == nullptr) return true;
    if (message->data.empty()) return false;
    const auto [head, json] = sluice::test::unpacked<market::LineHead>(message->data);
    lines.push(head, json);
    return true;
  }

 private:
  sluice::NatsReader messages_;
};

class Pack {
 public:
  void operator()(const RowRecord& row, sluice::Output<sluice::Bytes>& out) const {
    out.push(sluice::test::packed(row.head, row.text()));
  }
};

sluice::Pipeline partition(const sluice::Partition& own) {
  sluice::Pipeline pipeline{"market-" + own.text()};
  const market::BookCapacity capacity = market::book_capacity(0);
  auto [trades, books, tickers, tallies, rejected] =
      pipeline
          .source<Lines>("lines", sluice::NatsSourceOptions{.server = own.server,
                                                            .stream = sluice::test::kLines,
                                                            .subject = "lines." + own.text()})
          .to<market::ParseStage>("parse", {}, std::vector<std::string>{"a capture"});
  const auto book_rows = books.to<market::BookStage>(
      "book", {.state_bytes = market::book_state_bytes(capacity), .undo_bytes = market::kBookUndoBytes},
      capacity);
  book_rows.merge(trades.to<market::BarsStage>("bars", {.state_bytes = 4 << 20}))
      .merge(tickers.to<market::TickerStage>("tickers"))
      .merge(tallies.to<market::CountStage>("counts", {.state_bytes = 1 << 20}))
      .merge(rejected)
      .to<Pack>("pack")
      .to<sluice::NatsSink>(
          "rows", sluice::NatsSinkOptions{
                      .server = own.server, .stream = sluice::test::kRows, .subject = "rows." + own.text()});
  return pipeline;
}

}  // namespace

int main(int argc, char** argv) {
  return sluice::cluster_main(
      argc, argv, {.name = "market", .partitions = sluice::test::kMarketPartitions, .pipeline = partition});
}
