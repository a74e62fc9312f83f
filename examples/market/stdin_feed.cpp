// SPDX-License-Identifier: Apache-2.0
#include "market/stdin_feed.hpp"

#include <poll.h>
#include <unistd.h>

#include "market/market_pipeline.hpp"
#include "market/read_stage.hpp"

namespace market {
namespace {

constexpr const char* kName = "standard input";

CaptureOptions options_for(std::uint64_t max_line_bytes) {
  CaptureOptions options;
  options.max_line_bytes = max_line_bytes;
  return options;
}

bool input_waits() {
  pollfd entry{STDIN_FILENO, POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

StdinFeed::StdinFeed(sluice::Engine& engine, std::uint64_t max_line_bytes)
    : lines_{engine.inlet<LineRecord>(kLinesInlet)},
      rows_{engine.inlet<RowRecord>(kRowsInlet)},
      max_line_bytes_{max_line_bytes} {}

void StdinFeed::feed() {
  constexpr auto kAtMost = std::chrono::milliseconds{20};
  constexpr int kLinesPerClock = 64;
  const auto until = std::chrono::steady_clock::now() + kAtMost;
  while (open_ && std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < kLinesPerClock && open_; ++i) {
      if (!(capture_ && capture_->line_at_hand()) && !input_waits()) return;
      if (!capture_) {
        capture_.emplace(FileDescriptor::borrowed(STDIN_FILENO), kName, options_for(max_line_bytes_));
      }
      if (!push(capture_->next())) close();
    }
  }
}

bool StdinFeed::push(const Line& line) {
  if (line.status == LineStatus::too_long) refuse_long_line(kName, line);
  if (line.status == LineStatus::broken) failure_ = capture_->failure();
  if (line.status != LineStatus::line) return false;
  // Lines without a file's name can only be those of a merged file, which name their instrument.
  if (!format_) format_ = detect_format(false, line.text);
  sluice::PushResult result = sluice::PushResult::accepted;
  send_line(
      line, *format_, Instrument{}, 0, kStandardInput,
      [&](const LineHead& head, std::string_view json) {
        result = lines_.push(LineRecord{head, std::as_bytes(std::span{json.data(), json.size()})});
      },
      [&](const RowHead& head, const std::string& row) {
        result = rows_.push(RowRecord{head, std::as_bytes(std::span{row.data(), row.size()})});
      });
  return result != sluice::PushResult::ended;
}

void StdinFeed::close() {
  open_ = false;
  lines_.close();
  rows_.close();
}

}  // namespace market
