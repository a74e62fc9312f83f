// SPDX-License-Identifier: Apache-2.0
// The market demonstration as a program of one thread: what its pipeline is measured against.
//
// It shares the pipeline's code for captures, JSON, decimals, books, bars and files, and has nothing else:
// one loop, every event a direct call on the parser's own memory, tables without an undo log, rows kept until
// they are sorted and written once. Its files are the pipeline's, byte for byte.
//
// usage: market_single_thread --out DIR FILE...
#include <array>
#include <cstdio>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/line_reader.hpp>
#include <sluice/error.hpp>

#include "market/book.hpp"
#include "market/capture_line.hpp"
#include "market/hand_out.hpp"
#include "market/input_plan.hpp"
#include "market/output_files.hpp"
#include "market/parse.hpp"
#include "market/summaries.hpp"
#include "market/trade_bars.hpp"
#include "plain_memory.hpp"

namespace {

class Market {
 public:
  void read(const market::InputFile& file) {
    // Nobody resumes here: no access points.
    sluice::LineReader capture{file.path, {.access_point_every_bytes = 0}};
    for (sluice::FileLine line = capture.next(); line.status == sluice::LineStatus::line;
         line = capture.next())
      take(file, line);
    if (!capture.failure().empty()) throw sluice::Error{{"read", file.path, capture.failure(), ""}};
  }

  void write(const std::filesystem::path& directory) {
    const auto push = [this](market::Output output, const market::RowText& row) { keep(output, row.text()); };
    books_.tell(push);
    bars_.tell_totals(push);
    bars_.tell_bars(0, bars_.bar_slots(), push);
    tickers_.tell(push);
    counts_.tell(push);
    for (std::size_t output = 0; output < market::kOutputs; ++output)
      market::write_sorted(directory, static_cast<market::Output>(output), std::move(rows_[output]));
    market::publish(directory);
  }

  // Where the events of a line go: market::hand_out().
  void trade(const market::Trade& trade) {
    const auto push = [this](market::Output output, const market::RowText& row) { keep(output, row.text()); };
    if (!bars_.take(trade, push))
      throw sluice::Error{{"add up", "trades", "the sums do not fit 128 bits", ""}};
  }
  void book(const market::BookHead& head, std::span<const market::Level> levels) {
    books_.take(head, levels);
  }
  void ticker(const market::Ticker& ticker) { tickers_.take(ticker); }
  void tally(const market::Tally& tally) { counts_.take(tally); }
  void reject(std::string_view reason) {
    keep(market::Output::rejected, market::rejected_row(path_, line_, reason));
  }

 private:
  void take(const market::InputFile& file, const sluice::FileLine& line) {
    path_ = file.path;
    line_ = line.number;
    const market::CaptureLine parts = market::split_capture_line(file.format, file.instrument, line.text);
    if (!parts.reject_reason.empty()) return reject(parts.reject_reason);
    market::hand_out(parser_.parse(parts.instrument, parts.json, sluice::LineReader::kReadableBehind), *this);
  }
  void keep(market::Output output, const std::string& row) {
    texts_.push_back(row);
    rows_.at(static_cast<std::size_t>(output)).push_back(texts_.back());
  }

  sluice::bench::PlainMemory memory_;
  market::LineParser parser_;
  market::Books<sluice::bench::PlainMemory> books_{memory_};
  market::TradeBars<sluice::bench::PlainMemory> bars_{memory_};
  market::LastTickers<sluice::bench::PlainMemory> tickers_{memory_};
  market::EventCounts<sluice::bench::PlainMemory> counts_{memory_};
  std::deque<std::string> texts_;
  std::array<std::vector<std::string_view>, market::kOutputs> rows_;
  std::string_view path_;
  std::uint64_t line_ = 0;
};

int run(const std::filesystem::path& directory, const std::vector<std::string>& paths) {
  try {
    market::prepare_output(directory);
    Market all;
    for (const std::vector<market::InputGroup>& worker : market::plan_inputs(paths, 1).workers) {
      for (const market::InputGroup& group : worker) {
        for (const market::InputFile& file : group.files)
          all.read(file);
      }
    }
    all.write(directory);
    return 0;
  } catch (const sluice::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments{argv + 1, argv + argc};
  if (arguments.size() == 1 && arguments[0] == "--version") {
    return std::puts("market_single_thread of Sluice " SLUICE_VERSION) >= 0 && std::fflush(stdout) == 0 ? 0
                                                                                                        : 1;
  }
  if (arguments.size() < 3 || arguments[0] != "--out") {
    std::fputs("usage: market_single_thread --out DIR FILE...\n", stderr);
    return 2;
  }
  return run(arguments[1], {arguments.begin() + 2, arguments.end()});
}
