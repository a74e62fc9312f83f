// SPDX-License-Identifier: Apache-2.0
// The stage `read`: a source that reads the groups of capture files of its worker, line by line.
//
// Its position is recoverable state: a replacement goes on behind the last line that was committed, and for
// compressed files from the newest access point before it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sluice/connect/access_point.hpp>
#include <sluice/connect/line_reader.hpp>
#include <sluice/sluice.hpp>

#include "market/capture_line.hpp"
#include "market/events.hpp"
#include "market/input_plan.hpp"

namespace market {

// Where a reader stands; zeros is the beginning.
struct ReadPosition {
  std::uint64_t file = 0;  // In the worker's list, all its groups one after the other.
  sluice::LinePosition line;
  std::int64_t last_receive_ns = 0;  // Of the group so far.
};

class ReadStage {
 public:
  // `files` are those of every worker; `max_line_bytes` is what a lane to the next stage can carry.
  ReadStage(sluice::Worker& worker, const InputPlan& plan, const std::vector<std::string>& paths,
            std::uint64_t max_line_bytes);

  bool operator()(sluice::Output<LineRecord>& lines, sluice::Output<RowRecord>& rows);

 private:
  struct PlannedFile {
    InputFile file;
    std::uint32_t index;  // On the command line.
    bool begins_group;
  };

  void open_file();
  void next_file();
  void send_long_line(const sluice::FileLine& line, sluice::Output<RowRecord>& rows);
  void send(const sluice::FileLine& line, sluice::Output<LineRecord>& lines, sluice::Output<RowRecord>& rows);

  sluice::Worker& worker_;
  std::vector<PlannedFile> files_;
  sluice::LineReaderOptions options_;
  sluice::Recoverable<ReadPosition> position_;
  sluice::Recoverable<sluice::AccessPoint> access_point_;
  sluice::AccessPoint new_access_point_;
  std::unique_ptr<sluice::LineReader> capture_;
  CaptureFormat format_ = CaptureFormat::unknown;
};

// Sends one line of a capture on, or the reason why it is none. Gives the line's receive time, if it has one.
// Shared with standard input.
std::optional<std::int64_t> send_line(const sluice::FileLine& line, CaptureFormat format,
                                      const Instrument& file_instrument, std::uint32_t file,
                                      std::string_view path, auto&& push_line, auto&& push_row) {
  const CaptureLine parts = split_capture_line(format, file_instrument, line.text);
  if (!parts.reject_reason.empty()) {
    push_row(RowHead{Output::rejected, 0}, rejected_row(path, line.number, parts.reject_reason));
    return receive_time_ns(line.text);
  }
  push_line(LineHead{parts.instrument, line.number, file, 0}, parts.json);
  return parts.receive_time_ns;
}

// What becomes of a line that is longer than a lane carries.
struct LongLine {
  std::string row;      // Of the rejected lines.
  std::string problem;  // Empty when a lane of any size would not help, since the line is no event.
};

// `line.text` is the line's beginning. Shared with standard input.
LongLine refuse_long_line(const sluice::FileLine& line, CaptureFormat format, std::string_view path);

}  // namespace market
