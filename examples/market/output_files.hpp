// SPDX-License-Identifier: Apache-2.0
// The files of the output: their names, and how rows become one of them.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "market/events.hpp"

namespace market {

// "event_counts", ...
std::string_view name_of(Output output);

// Writes the rows of an output, sorted, below its header, into a new file beside the answers: it can be
// repeated, and is no answer yet. A row is a key, a separator and its text, as RowText makes them. Throws
// sluice::Error.
void write_sorted(const std::filesystem::path& directory, Output output, std::vector<std::string_view> rows);

// Whether the new files of all outputs are there.
bool are_written(const std::filesystem::path& directory);

// Lets the new files take the place of the answers. Throws sluice::Error.
void publish(const std::filesystem::path& directory);
void remove_new_files(const std::filesystem::path& directory);

// Creates the directory if need be. Throws sluice::Error when it cannot be written.
void prepare_output(const std::filesystem::path& directory);

// Keeps other runs out of a directory, until this process and those that are given its descriptor have ended, however.
class OutputLock {
 public:
  // Waits two seconds for a run that is about to end. Throws sluice::Error when another run has it.
  explicit OutputLock(const std::filesystem::path& directory);
  ~OutputLock();
  int descriptor() const noexcept { return fd_; }
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

 private:
  int fd_;
};

}  // namespace market
