// SPDX-License-Identifier: Apache-2.0
// The stage `write`: the file sink. Rows are appended to a part file for each output as they come; the last
// word sorts each part into its output file.
//
// The part files' lengths are recoverable state (sluice::AppendFile). Sorting writes a new file and renames
// it, so that it can be repeated; the part files stay until the run is over.
#pragma once

#include <array>
#include <filesystem>
#include <memory>

#include <sluice/sluice.hpp>

#include "market/events.hpp"

namespace market {

class WriteStage {
 public:
  WriteStage(sluice::Worker& worker, const std::filesystem::path& directory);

  void operator()(const RowRecord& row);
  void finish();

 private:
  std::filesystem::path directory_;
  std::array<std::unique_ptr<sluice::AppendFile>, kOutputs> parts_;
};

// After the run: the part files are needed no more.
void remove_parts(const std::filesystem::path& directory);

}  // namespace market
