// SPDX-License-Identifier: Apache-2.0
#include "answers.hpp"

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <stdexcept>
#include <system_error>
#include <tuple>

namespace reference {
namespace {

class Table {
 public:
  Table(const std::filesystem::path& path, std::initializer_list<const char*> header)
      : path_{path}, file_{path, std::ios::binary | std::ios::trunc} {
    for (const char* name : header)
      cell(name);
    end_row();
  }

  Table& cell(const std::string& text) {
    if (!row_start_) file_ << '\t';
    row_start_ = false;
    file_ << text;
    return *this;
  }
  Table& cell(const Decimal& number) { return cell(number.text()); }
  Table& cell(std::int64_t number) { return cell(std::to_string(number)); }
  Table& cell(std::size_t count) { return cell(std::to_string(count)); }
  Table& key(const InstrumentKey& key) { return cell(key.first).cell(key.second); }

  void end_row() {
    file_ << '\n';
    row_start_ = true;
  }

  void close() {
    file_.close();
    if (!file_) throw std::runtime_error{"cannot write " + path_.string()};
  }

 private:
  std::filesystem::path path_;
  std::ofstream file_;
  bool row_start_ = true;
};

void write_counts(const std::filesystem::path& path, const Market& market) {
  Table table{path, {"venue", "symbol", "kind", "count"}};
  for (const auto& [key, instrument] : market) {
    for (const auto& [kind, count] : instrument.counts)
      table.key(key).cell(kind).cell(count).end_row();
  }
  table.close();
}

void write_trades(const std::filesystem::path& path, const Market& market) {
  Table table{path,
              {"venue", "symbol", "trades", "qty_sum", "notional_sum", "buyer_maker", "first_px", "last_px",
               "min_px", "max_px", "trade_id_gaps"}};
  for (const auto& [key, instrument] : market) {
    const TradeTotals& totals = instrument.trades;
    if (totals.trades == 0) continue;
    table.key(key).cell(totals.trades).cell(totals.quantity).cell(totals.notional).cell(totals.buyer_maker);
    table.cell(totals.first).cell(totals.last).cell(totals.lowest).cell(totals.highest);
    table.cell(totals.id_gaps).end_row();
  }
  table.close();
}

void write_bars(const std::filesystem::path& path, const Market& market) {
  Table table{path, {"venue", "symbol", "sec", "open", "high", "low", "close", "volume", "trades"}};
  for (const auto& [key, instrument] : market) {
    for (const auto& [second, bar] : instrument.bars) {
      table.key(key).cell(second).cell(bar.open).cell(bar.high).cell(bar.low).cell(bar.close);
      table.cell(bar.volume).cell(bar.trades).end_row();
    }
  }
  table.close();
}

Decimal quantity_of(const Book::Side& side) {
  Decimal sum;
  for (const auto& [price, quantity] : side)
    sum = sum + quantity;
  return sum;
}

// The cells of a side's best level are empty when the side is.
void best_cells(Table& table, bool empty, const std::pair<const Decimal, Decimal>* level) {
  table.cell(empty ? std::string{} : level->first.text()).cell(empty ? std::string{} : level->second.text());
}

void write_books(const std::filesystem::path& path, const Market& market) {
  Table table{path,
              {"venue", "symbol", "snapshot_id", "dropped_pre_snapshot", "applied_updates", "sequence_gaps",
               "last_u", "best_bid", "best_bid_qty", "best_ask", "best_ask_qty", "bid_levels", "ask_levels",
               "bid_qty_sum", "ask_qty_sum"}};
  for (const auto& [key, instrument] : market) {
    const Book& book = instrument.book;
    if (!book.started()) continue;
    table.key(key).cell(book.snapshot_id()).cell(book.dropped()).cell(book.applied()).cell(book.gaps());
    table.cell(book.last_id() ? std::to_string(*book.last_id()) : "None");
    best_cells(table, book.bids().empty(), book.bids().empty() ? nullptr : &*book.bids().rbegin());
    best_cells(table, book.asks().empty(), book.asks().empty() ? nullptr : &*book.asks().begin());
    table.cell(book.bids().size()).cell(book.asks().size());
    table.cell(quantity_of(book.bids())).cell(quantity_of(book.asks())).end_row();
  }
  table.close();
}

void write_tickers(const std::filesystem::path& path, const Market& market) {
  Table table{path, {"venue", "symbol", "bid", "bid_qty", "ask", "ask_qty", "u"}};
  for (const auto& [key, instrument] : market) {
    if (!instrument.ticker) continue;
    const Ticker& last = *instrument.ticker;
    table.key(key).cell(last.bid).cell(last.bid_quantity).cell(last.ask).cell(last.ask_quantity);
    table.cell(last.update_id).end_row();
  }
  table.close();
}

void write_rejected(const std::filesystem::path& path, std::vector<Rejected> rejected) {
  std::sort(rejected.begin(), rejected.end(), [](const Rejected& left, const Rejected& right) {
    return std::tie(left.file, left.line) < std::tie(right.file, right.line);
  });
  Table table{path, {"file", "line", "reason"}};
  for (const Rejected& entry : rejected)
    table.cell(entry.file).cell(entry.line).cell(entry.reason).end_row();
  table.close();
}

}  // namespace

void write_answers(const std::filesystem::path& directory, const Market& market,
                   std::vector<Rejected> rejected) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    throw std::runtime_error{"cannot make the directory " + directory.string() + ": " + error.message() +
                             " (name another with --out)"};
  }
  write_counts(directory / "event_counts.tsv", market);
  write_trades(directory / "trades.tsv", market);
  write_bars(directory / "bars_1s.tsv", market);
  write_books(directory / "book.tsv", market);
  write_tickers(directory / "last_ticker.tsv", market);
  write_rejected(directory / "rejected.tsv", std::move(rejected));
}

}  // namespace reference
