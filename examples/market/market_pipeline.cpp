// SPDX-License-Identifier: Apache-2.0
#include "market/market_pipeline.hpp"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include <sluice/wide.hpp>

#include "market/bars_stage.hpp"
#include "market/book_stage.hpp"
#include "market/input_plan.hpp"
#include "market/parse_stage.hpp"
#include "market/read_stage.hpp"
#include "market/summary_stages.hpp"
#include "market/write_stage.hpp"

namespace market {
namespace {

// What is set aside is paid for at the start and at the end, used or not.
constexpr std::uint64_t kKibibyte = std::uint64_t{1} << 10;
constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t kSmall = 64 * kKibibyte;       // Of stages that keep next to nothing.
constexpr std::uint64_t kSmallUndo = 256 * kKibibyte;  // Of stages that change little in one event.
constexpr std::uint64_t kMostReaders = 2;

// Readers share out the files before the pipeline is whole. On a small machine more of them than units only take turns.
std::uint64_t readers_for(std::size_t files) {
  const std::uint64_t most =
      std::clamp<std::uint64_t>(std::thread::hardware_concurrency() / 4, 1, kMostReaders);
  return std::min<std::uint64_t>(most, files);
}

std::uint64_t readers_asked(const sluice::Settings& settings, std::size_t files) {
  const std::uint64_t readers = settings.count_or_auto("workers", "read").value_or(readers_for(files));
  if (readers == sluice::cores) {
    throw sluice::Error{{"start the stage", "read", "it asks for as many workers as there are cores",
                         "set stage.read.workers to a number: files are shared out before cores are"}};
  }
  return readers;
}

// Absolute, as far as the working directory is still there.
std::string absolute(const std::string& path) {
  if (path == kStandardInput) return path;
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return error ? path : whole.lexically_normal().string();
}

struct Incoming {
  sluice::Stream<LineRecord> lines;
  sluice::Stream<RowRecord> rejected;
  std::uint64_t readers = 1;      // That have something to read.
  std::uint64_t instruments = 0;  // 0: nobody knows.
};

Incoming incoming(sluice::Pipeline& pipeline, const MarketInput& input, const sluice::Settings& settings) {
  if (is_fed_by_the_host(input)) {
    return {pipeline.inlet<LineRecord>(kLinesInlet), pipeline.inlet<RowRecord>(kRowsInlet)};
  }
  const std::uint64_t readers = readers_asked(settings, input.paths.size());
  const InputPlan plan = plan_inputs(input.paths, readers);
  auto [lines, rejected] = pipeline.source<ReadStage>(
      "read",
      sluice::StageOptions{
          .workers = static_cast<unsigned>(readers), .state_bytes = kSmall, .undo_bytes = kSmallUndo},
      plan, input.paths, input.max_line_bytes);
  const auto busy = std::count_if(plan.workers.begin(), plan.workers.end(),
                                  [](const std::vector<InputGroup>& groups) { return !groups.empty(); });
  return {lines, rejected, static_cast<std::uint64_t>(busy), count_instruments(plan)};
}

}  // namespace

bool is_fed_by_the_host(const MarketInput& input) {
  std::size_t streams = 0;
  for (const std::string& path : input.paths) {
    if (path.empty()) throw sluice::Error{{"read the input", "", "a path is empty", "name a capture, or -"}};
    streams += is_stream(path) ? 1 : 0;
  }
  if (streams != 0 && streams != input.paths.size()) {
    throw sluice::Error{{"read the input", "", "standard input or a pipe is named beside files",
                         "a pipe is read once and by the host: name it without files"}};
  }
  return streams != 0;
}

sluice::Pipeline market_pipeline(const MarketInput& input, const std::filesystem::path& out, int out_lock,
                                 const sluice::Settings& settings) {
  sluice::Pipeline pipeline{"market"};
  // Who goes on with a segment goes on in these files.
  for (std::size_t i = 0; i < input.paths.size(); ++i)
    pipeline.argument(fmt::format("input {}", i + 1), absolute(input.paths[i]));
  pipeline.argument("out", absolute(out.string()));
  const Incoming from = incoming(pipeline, input, settings);
  const auto instrument_of = [](const LineRecord& line) -> const Instrument& { return line.head.instrument; };
  auto [trades, books, tickers, tallies, rejected] =
      from.lines.by(instrument_of)
          .to<sluice::Wide<ParseStage>>(
              "parse", {.workers = sluice::cores, .state_bytes = kSmall, .undo_bytes = kSmall}, input.paths);
  const BookCapacity capacity = book_capacity(from.instruments);
  const auto book_of = [](const BookRecord& book) -> const Instrument& { return book.head.instrument; };
  const auto book_rows = books.by(book_of).to<BookStage>(
      "book", {.state_bytes = book_state_bytes(capacity), .undo_bytes = kBookUndoBytes}, capacity);
  const auto bar_rows = trades.by(&Trade::instrument)
                            .to<BarsStage>("bars", {.state_bytes = 4 * kMebibyte, .undo_bytes = kSmallUndo});
  const auto ticker_rows =
      tickers.by(&Ticker::instrument)
          .to<TickerStage>("tickers", {.state_bytes = 512 * kKibibyte, .undo_bytes = kSmallUndo});
  const auto count_rows = tallies.by(&Tally::instrument)
                              .to<CountStage>("counts", {.state_bytes = kMebibyte, .undo_bytes = kSmallUndo});
  // One worker writes the files, whatever the settings say of other stages.
  book_rows.merge(bar_rows)
      .merge(ticker_rows)
      .merge(count_rows)
      .merge(rejected)
      .merge(from.rejected)
      .to<WriteStage>("write",
                      {.state_bytes = kSmall,
                       .undo_bytes = kSmall,
                       .lane_bytes = 256 * kKibibyte,
                       .descriptors = {out_lock}},
                      out, from.readers);
  return pipeline;
}

}  // namespace market
