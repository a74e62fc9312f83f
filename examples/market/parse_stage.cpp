// SPDX-License-Identifier: Apache-2.0
#include "market/parse_stage.hpp"

#include <span>

#include <sluice/ipc/segment.hpp>

#include "market/hand_out.hpp"

namespace market {
namespace {

// The lane guarantees the bytes that the parser reads behind a line, so nothing is copied.
static_assert(sluice::ipc::kReadableBeyond >= LineParser::kPaddingBytes);

struct ToOutlets {
  const LineRecord& line;
  const std::vector<std::string>& paths;
  sluice::Output<Trade>& trades;
  sluice::Output<BookRecord>& books;
  sluice::Output<Ticker>& tickers;
  sluice::Output<Tally>& tallies;
  sluice::Output<RowRecord>& rows;

  void trade(const Trade& event) { trades.push(event); }
  void book(const BookHead& head, std::span<const Level> levels) { books.push(head, std::as_bytes(levels)); }
  void ticker(const Ticker& event) { tickers.push(event); }
  void tally(const Tally& event) { tallies.push(event); }
  void reject(std::string_view reason) {
    rows.push(RowHead{Output::rejected, 0}, rejected_row(paths[line.head.file], line.head.number, reason));
  }
};

}  // namespace

void ParseStage::operator()(const LineRecord& line, sluice::Output<Trade>& trades,
                            sluice::Output<BookRecord>& books, sluice::Output<Ticker>& tickers,
                            sluice::Output<Tally>& tallies, sluice::Output<RowRecord>& rows) const {
  // What it has read is its caller's until it reads again: one for each thread.
  thread_local LineParser parser;
  hand_out(parser.parse(line.head.instrument, line.text(), sluice::ipc::kReadableBeyond),
           ToOutlets{line, paths_, trades, books, tickers, tallies, rows});
}

}  // namespace market
