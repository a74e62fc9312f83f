// SPDX-License-Identifier: Apache-2.0
// The stage `write`: the file sink. Rows are appended to a part file for each output as they come; the last
// word sorts each part into a new file beside the answers, which the host publishes when the run is over.
//
// The part files' lengths are recoverable state (sluice::AppendFile). Sorting can be repeated. Of a run that was
// interrupted there are no new files: each reader says when it has read all, and the last word counts them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>

#include <sluice/sluice.hpp>

#include "market/events.hpp"

namespace market {

class WriteStage {
 public:
  // `readers` is how many there are that say so.
  WriteStage(sluice::Worker& worker, const std::filesystem::path& directory, std::uint64_t readers);

  void operator()(const RowRecord& row);
  void finish();

 private:
  void report_all_rejected();

  sluice::Worker& worker_;
  std::filesystem::path directory_;
  std::uint64_t readers_;
  sluice::Recoverable<std::uint64_t> ended_readers_;
  sluice::Recoverable<std::uint64_t> rejected_;
  std::array<std::unique_ptr<sluice::AppendFile>, kOutputs> parts_;
};

// After the run: the part files are needed no more.
void remove_parts(const std::filesystem::path& directory);

}  // namespace market
