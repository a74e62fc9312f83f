// SPDX-License-Identifier: Apache-2.0
// Follows a file of reports, deaths.jsonl, as its pipeline appends to it, also when a new file takes its place. One thread.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace sluice::command {

class ReportTail {
 public:
  // `directory`: where the reports of a pipeline are.
  explicit ReportTail(const std::string& directory) : path_{directory + "/deaths.jsonl"} {}

  // The whole lines that have come since the last call, at the first one the last that are there; cut where they are
  // very long. Of more than kMostBytes the last. Nothing for a file that is none of this user's, which may be anything; root takes the files of others, whose pipelines it
  // looks at.
  std::vector<std::string> lines();

  static constexpr off_t kMostBytes = 128 << 10;
  static constexpr std::size_t kMostLineBytes = 32 << 10;

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  off_t read_ = 0;
};

}  // namespace sluice::command
