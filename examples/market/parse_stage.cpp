#include "market/parse_stage.hpp"

#include <span>
#include <variant>

#include <sluice/ipc/segment.hpp>

namespace market {

// The lane guarantees the bytes that the parser reads behind a line, so nothing is copied.
static_assert(sluice::ipc::kReadableBeyond >= LineParser::kPaddingBytes);

void ParseStage::operator()(const LineRecord& line, sluice::Outlet<Trade>& trades,
                            sluice::Outlet<BookRecord>& books, sluice::Outlet<Ticker>& tickers,
                            sluice::Outlet<Tally>& tallies, sluice::Outlet<RowRecord>& rows) {
  const Parsed parsed = parser_.parse(line.head.instrument, line.text(), sluice::ipc::kReadableBeyond);
  if (const auto* rejected = std::get_if<Rejected>(&parsed)) {
    rows.push(RowHead{Output::rejected, 0},
              rejected_row(paths_[line.head.file], line.head.number, rejected->reason));
    return;
  }
  Instrument instrument;
  if (const auto* trade = std::get_if<Trade>(&parsed)) {
    instrument = trade->instrument;
    trades.push(*trade);
  } else if (const auto* ticker = std::get_if<Ticker>(&parsed)) {
    instrument = ticker->instrument;
    tickers.push(*ticker);
  } else if (const auto* depth = std::get_if<Depth>(&parsed)) {
    instrument = depth->instrument;
    books.push(BookHead{instrument, depth->first_id, depth->last_id, depth->previous_id,
                        depth->has_previous_id ? 1U : 0U, 0},
               std::as_bytes(depth->levels));
  } else if (const auto* snapshot = std::get_if<Snapshot>(&parsed)) {
    instrument = snapshot->instrument;
    books.push(BookHead{instrument, 0, snapshot->last_id, 0, 0, 1}, std::as_bytes(snapshot->levels));
  } else {
    instrument = std::get<OtherEvent>(parsed).instrument;
  }
  tallies.push(Tally{instrument, kind_name(parsed)});
}

}  // namespace market
