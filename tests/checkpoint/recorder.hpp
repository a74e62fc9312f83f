// SPDX-License-Identifier: Apache-2.0
// What a process really asks the kernel to do with the files below a directory, in order: a child is traced for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace sluice::test {

// One call that succeeded. Files and directories are numbered as they are first met; 0 is the directory itself.
struct DiskCall {
  enum class What { make_directory, make_file, write, sync_file, sync_directory, rename, link, remove, mark };

  What what{};
  int object = 0;        // What was made, written, brought to the disk, renamed, linked or removed.
  int directory = 0;     // Where the name is.
  std::string name;      // Of what was made, renamed, linked or removed.
  std::string new_name;  // What it is renamed to, or called besides.
  std::uint64_t at = 0;  // Where the bytes go; of a mark its number.
  std::string bytes;
};

struct Recording {
  std::vector<DiskCall> calls;
  // Why the record cannot be relied on: the work did not end as it should, or did to files what is not known here.
  std::string problem;
};

// In the work: what follows happens after everything that was promised until now.
void mark(std::uint64_t number);

// `work` runs in a child; what it does to files below `root`, which is there and empty, is recorded.
Recording record(const std::filesystem::path& root, const std::function<void()>& work);

}  // namespace sluice::test
