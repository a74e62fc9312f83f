// SPDX-License-Identifier: Apache-2.0
#include "market/read_stage.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include <sluice/unavailable.hpp>

namespace market {
namespace {

// Before it says that it is alive: archives whose blocks or frames are large are read again for a while after a kill.
constexpr std::chrono::milliseconds kReadsAtOnce{20};

}  // namespace

ReadStage::ReadStage(sluice::Worker& worker, const InputPlan& plan, const std::vector<std::string>& paths,
                     std::uint64_t max_line_bytes)
    : worker_{worker},
      position_{worker.state<ReadPosition>("position")},
      access_point_{worker.state<sluice::AccessPoint>("access-point")} {
  options_.max_line_bytes = max_line_bytes;
  // A replacement decompresses half of this on average before its first line.
  options_.access_point_every_bytes = std::size_t{128} << 10;
  options_.at_once = kReadsAtOnce;
  for (const InputGroup& group : plan.workers.at(worker.replica())) {
    for (const InputFile& file : group.files) {
      const auto index = std::find(paths.begin(), paths.end(), file.path) - paths.begin();
      files_.push_back({file, static_cast<std::uint32_t>(index), &file == &group.files.front()});
    }
  }
  if (position_->file < files_.size()) open_file();
}

void ReadStage::open_file() {
  const PlannedFile& planned = files_[position_->file];
  capture_ = std::make_unique<sluice::LineReader>(planned.file.path, options_);
  format_ = planned.file.format;
  if (position_->line != sluice::LinePosition{}) capture_->resume(position_->line, &*access_point_);
}

bool ReadStage::operator()(sluice::Output<LineRecord>& lines, sluice::Output<RowRecord>& rows) {
  if (capture_ == nullptr) return false;
  const sluice::FileLine line = capture_->next();
  switch (line.status) {
    case sluice::LineStatus::line:
      send(line, lines, rows);
      return true;
    case sluice::LineStatus::too_long:
      send_long_line(line, rows);
      return true;
    case sluice::LineStatus::pending:
      return true;
    case sluice::LineStatus::broken:
      if (capture_->read_error() != 0) throw sluice::Unavailable{capture_->failure()};
      // What was read before stands; the files behind it are read all the same.
      worker_.report(capture_->failure());
      break;
    case sluice::LineStatus::end:
      break;
  }
  next_file();
  if (capture_ == nullptr) rows.push(RowHead{Output::end_of_input, 0}, std::string_view{});
  return capture_ != nullptr;
}

void ReadStage::send_long_line(const sluice::FileLine& line, sluice::Output<RowRecord>& rows) {
  const InputFile& file = files_[position_->file].file;
  const LongLine refused = refuse_long_line(line, format_, file.path);
  rows.push(RowHead{Output::rejected, 0}, refused.row);
  if (!refused.problem.empty()) worker_.report(refused.problem);
  position_.edit().line = capture_->position();
}

void ReadStage::send(const sluice::FileLine& line, sluice::Output<LineRecord>& lines,
                     sluice::Output<RowRecord>& rows) {
  const PlannedFile& planned = files_[position_->file];
  const std::optional<std::int64_t> received_ns = send_line(
      line, format_, planned.file.instrument, planned.index, planned.file.path,
      [&](const LineHead& head, std::string_view json) { lines.push(head, json); },
      [&](const RowHead& head, const std::string& row) { rows.push(head, row); });
  ReadPosition& position = position_.edit();
  position.line = capture_->position();
  position.last_receive_ns = std::max(position.last_receive_ns, received_ns.value_or(0));
  if (capture_->take_access_point(new_access_point_)) access_point_.set(new_access_point_);
}

void ReadStage::next_file() {
  const InputFile& ended = files_[position_->file].file;
  ReadPosition next{position_->file + 1, {}, position_->last_receive_ns};
  if (next.file < files_.size()) {
    const PlannedFile& following = files_[next.file];
    if (following.begins_group) {
      next.last_receive_ns = 0;
    } else if (const auto overlaps = overlap(ended, next.last_receive_ns, following.file)) {
      worker_.report(*overlaps);
    }
  }
  position_.set(next);
  access_point_.set(sluice::AccessPoint{});
  capture_.reset();
  if (next.file < files_.size()) open_file();
}

LongLine refuse_long_line(const sluice::FileLine& line, CaptureFormat format, std::string_view path) {
  const CaptureLine begin = split_capture_line(format, Instrument{}, line.text);
  if (!begin.reject_reason.empty()) return {rejected_row(path, line.number, begin.reject_reason), {}};
  if (!begin.json.starts_with('{')) return {rejected_row(path, line.number, "JSON is no object"), {}};
  const std::string reason =
      fmt::format("the line of {} bytes is longer than a lane carries", line.length_bytes);
  return {rejected_row(path, line.number, reason),
          fmt::format("{}, line {}: {}; raise --set stage.parse.lane.bytes={}", path, line.number, reason,
                      std::bit_ceil(line.length_bytes + sizeof(LineHead) + 256))};
}

}  // namespace market
