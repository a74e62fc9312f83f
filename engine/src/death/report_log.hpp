// SPDX-License-Identifier: Apache-2.0
// The report log: a file to which the master and its stack dumpers append lines of JSON, one for each thing
// that happened. It is never read back, and appending blocks for no more than the one write().
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::detail {

// A text of lines as a field that holds a list of them: `"name":["first","second"]`.
std::string json_lines(std::string_view name, std::string_view text);

class ReportLog {
 public:
  // `lost` counts the lines that append() could not write; it must outlive the log.
  explicit ReportLog(std::string path, std::atomic<std::uint64_t>* lost = nullptr)
      : path_{std::move(path)}, lost_{lost} {}

  // Appends the line {fields,more}; both are fields of JSON without braces
  // (`"worker":"parse/0","signal":11`), and either may be empty. One write, so that lines of several writers
  // do not mix. Makes the file and its directory, for this user alone, when they are missing, and keeps the file
  // within its bound (report_file.hpp). False when the line could not be written: it is counted, and what it tells of
  // goes on without it. By the one process that `lost` belongs to.
  bool append(std::string_view fields, std::string_view more = {}) const noexcept;
  // The same, uncounted: for a fork of that process, which counts for it.
  bool try_to_append(std::string_view fields, std::string_view more = {}) const noexcept;

 private:
  std::string path_;
  std::atomic<std::uint64_t>* lost_;
};

}  // namespace sluice::detail
