// SPDX-License-Identifier: Apache-2.0
#include "market/read_stage.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace market {

ReadStage::ReadStage(sluice::Worker& worker, const InputPlan& plan, const std::vector<std::string>& paths,
                     std::uint64_t max_line_bytes)
    : worker_{worker},
      position_{worker.state<ReadPosition>("position")},
      access_point_{worker.state<AccessPoint>("access-point")} {
  options_.max_line_bytes = max_line_bytes;
  // A replacement decompresses half of this on average before its first line.
  options_.access_point_every_bytes = std::size_t{128} << 10;
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
  capture_ = std::make_unique<CaptureFile>(planned.file.path, options_);
  format_ = planned.file.format;
  if (position_->line != CapturePosition{}) capture_->resume(position_->line, &*access_point_);
}

bool ReadStage::operator()(sluice::Output<LineRecord>& lines, sluice::Output<RowRecord>& rows) {
  if (capture_ == nullptr) return false;
  const Line line = capture_->next();
  switch (line.status) {
    case LineStatus::line:
      send(line, lines, rows);
      return true;
    case LineStatus::too_long:
      refuse_long_line(capture_->name(), line);
    case LineStatus::broken:
      // What was read before stands; the files behind it are read all the same.
      worker_.report(capture_->failure());
      break;
    case LineStatus::end:
      break;
  }
  next_file();
  return capture_ != nullptr;
}

void ReadStage::send(const Line& line, sluice::Output<LineRecord>& lines, sluice::Output<RowRecord>& rows) {
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
  access_point_.set(AccessPoint{});
  capture_.reset();
  if (next.file < files_.size()) open_file();
}

void refuse_long_line(const std::string& path, const Line& line) {
  throw sluice::Error{{"read", fmt::format("{}, line {}", path, line.number),
                       fmt::format("the line of {} bytes is longer than a lane can carry", line.length_bytes),
                       fmt::format("raise --set stage.parse.lane.bytes={}",
                                   std::bit_ceil(line.length_bytes + sizeof(LineHead) + 8))}};
}

}  // namespace market
