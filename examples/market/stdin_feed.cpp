// SPDX-License-Identifier: Apache-2.0
#include "market/stdin_feed.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

#include "market/input_plan.hpp"
#include "market/market_pipeline.hpp"
#include "market/read_stage.hpp"

namespace market {
namespace {

std::shared_ptr<const int> open_stream(const std::string& path) {
  const bool standard = path == kStandardInput;
  // Standard input as a descriptor of its own: where it is closed, what is opened next has its number.
  const int fd = standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                          : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && standard)
    throw sluice::Error{{"read", "standard input", sluice::errno_text(),
                         "give it a file or a pipe, or name one with --input"}};
  if (fd < 0) {
    throw sluice::Error{
        {"open the pipe", path, sluice::errno_text(), "check the path and the right to read it"}};
  }
  return {new int{fd}, [](const int* opened) {
            ::close(*opened);
            delete opened;
          }};
}

}  // namespace

StdinFeed::StdinFeed(std::vector<std::string> paths, std::uint64_t max_line_bytes)
    : max_line_bytes_{max_line_bytes} {
  for (std::string& path : paths) {
    std::shared_ptr<const int> descriptor = open_stream(path);
    streams_.push_back({std::move(path), std::move(descriptor)});
  }
}

void StdinFeed::open_inlets(sluice::Engine& engine) {
  if (lines_) return;
  lines_.emplace(engine.inlet<LineRecord>(kLinesInlet));
  rows_.emplace(engine.inlet<RowRecord>(kRowsInlet));
}

bool StdinFeed::input_waits() const {
  pollfd entry{*streams_[now_].descriptor, POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

void StdinFeed::feed(sluice::Engine& engine) {
  constexpr auto kAtMost = std::chrono::milliseconds{20};
  constexpr int kLinesPerClock = 64;
  open_inlets(engine);
  const auto until = std::chrono::steady_clock::now() + kAtMost;
  while (open_ && std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < kLinesPerClock && open_; ++i) {
      if (!(capture_ && capture_->line_at_hand()) && !input_waits()) return;
      const Stream& stream = streams_[now_];
      if (!capture_) {
        sluice::LineReaderOptions options;
        options.max_line_bytes = max_line_bytes_;
        capture_.emplace(*stream.descriptor, stream.path, options);
      }
      push(capture_->next());
    }
  }
}

void StdinFeed::push(const sluice::FileLine& line) {
  // Lines without a file's name can only be those of a merged file, which name their instrument.
  if (!format_ && !line.text.empty()) format_ = detect_format(false, line.text);
  const std::string& path = streams_[now_].path;
  switch (line.status) {
    case sluice::LineStatus::broken:
      failure_ = capture_->failure();
      return next_stream();
    case sluice::LineStatus::end:
      return next_stream();
    case sluice::LineStatus::too_long: {
      const LongLine refused = refuse_long_line(line, format_.value_or(CaptureFormat::unknown), path);
      if (!refused.problem.empty()) failure_ = refused.problem;
      return push_row(RowHead{Output::rejected, 0}, refused.row);
    }
    case sluice::LineStatus::pending:  // Nobody watches this: it reads on for as long as it takes.
      return;
    case sluice::LineStatus::line:
      break;
  }
  send_line(
      line, format_.value_or(CaptureFormat::merged), Instrument{}, static_cast<std::uint32_t>(now_), path,
      [&](const LineHead& head, std::string_view json) {
        const LineRecord record{head, std::as_bytes(std::span{json.data(), json.size()})};
        if (lines_->push(record) == sluice::PushResult::ended) close();
      },
      [&](const RowHead& head, const std::string& row) { push_row(head, row); });
}

void StdinFeed::push_row(const RowHead& head, const std::string& row) {
  const RowRecord record{head, std::as_bytes(std::span{row.data(), row.size()})};
  if (rows_->push(record) == sluice::PushResult::ended) close();
}

void StdinFeed::next_stream() {
  capture_.reset();
  format_.reset();
  if (++now_ < streams_.size()) return;
  push_row(RowHead{Output::end_of_input, 0}, "");
  close();
}

void StdinFeed::close() {
  open_ = false;
  lines_->close();
  rows_->close();
}

}  // namespace market
