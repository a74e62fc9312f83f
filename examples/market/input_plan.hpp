// SPDX-License-Identifier: Apache-2.0
// Which source worker reads which capture files, and in what order.
//
// inspect_input() looks at one file; plan_inputs() is a pure function of what was seen. Files whose order
// matters stand in one group, and one worker reads a group from front to back: the days of an instrument, or,
// as soon as a merged file is among them, all files, because it may hold any instrument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "market/capture_line.hpp"
#include "market/instrument.hpp"

namespace market {

// The name under which standard input is read.
inline constexpr const char* kStandardInput = "-";

struct InputFile {
  std::string path;
  CaptureFormat format = CaptureFormat::unknown;
  Instrument instrument;                         // Of a raw file.
  std::uint64_t size_bytes = 0;                  // As it lies on the disk; 0 for what is no regular file.
  std::optional<std::int64_t> first_receive_ns;  // Of the first line that has one.
  std::uint64_t device = 0;                      // With inode: which file it is, under whatever path.
  std::uint64_t inode = 0;
};

struct InputGroup {
  std::vector<InputFile> files;  // In the order in which they are to be read.
  std::uint64_t size_bytes = 0;
};

struct InputPlan {
  std::vector<std::vector<InputGroup>> workers;  // One entry a worker; it may be empty.
};

// Opens the file and looks at its first lines. Standard input and pipes are not looked into, since what was
// read of them would be gone: they are taken as merged. A damaged file is planned as far as it can be read.
// Throws sluice::Error for a file that cannot be opened or read, and for a raw file whose name gives no
// instrument.
InputFile inspect_input(const std::string& path);

// Whether it is standard input or a pipe, which can be read once only.
bool is_stream(const std::string& path);

// Throws sluice::Error when two paths are the same file and when there is no file or no worker.
InputPlan plan_inputs(std::vector<InputFile> files, std::size_t workers);

// How many instruments the files are of; 0 when only reading them would tell.
std::uint64_t count_instruments(const InputPlan& plan);

// Both of the above for every path.
InputPlan plan_inputs(const std::vector<std::string>& paths, std::size_t workers);

// A sentence to report when `next` begins before `ended`, which was read up to the given time, was over:
// then the events of an instrument are not in order of time. None when all is well or nothing is known.
std::optional<std::string> overlap(const InputFile& ended, std::int64_t last_receive_ns,
                                   const InputFile& next);

}  // namespace market
