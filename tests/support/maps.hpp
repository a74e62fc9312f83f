// SPDX-License-Identifier: Apache-2.0
// What the kernel says of the mappings of a pipeline's segment in any process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <sys/types.h>
#include <vector>

namespace sluice::test {

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::uintptr_t offset = 0;  // In the file.
  bool writable = false;
  bool shared = false;
};

// Those of files with `text` in their names in the process `pid`, by address.
inline std::vector<Mapping> mappings_of(pid_t pid, const std::string& text) {
  std::ifstream maps{"/proc/" + std::to_string(pid) + "/maps"};
  std::vector<Mapping> found;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(text) == std::string::npos) continue;
    Mapping mapping;
    char permissions[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx", &mapping.begin, &mapping.end, permissions,
                    &mapping.offset) != 4)
      continue;
    mapping.writable = permissions[1] == 'w';
    mapping.shared = permissions[3] == 's';
    found.push_back(mapping);
  }
  return found;
}

// Those of the segment of the pipeline `name`, which has no file of its own.
inline std::vector<Mapping> segment_mappings(pid_t pid, const std::string& name) {
  return mappings_of(pid, "sluice:" + name);
}

// The first byte of the segment; nullptr: the process has none.
inline std::byte* segment_base(pid_t pid, const std::string& name) {
  const std::vector<Mapping> mappings = segment_mappings(pid, name);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address that the kernel tells is a number.
  return mappings.empty() ? nullptr : reinterpret_cast<std::byte*>(mappings.front().begin);
}

// What the process may write, neighbours joined.
inline std::vector<Mapping> writable_ranges(pid_t pid, const std::string& name) {
  std::vector<Mapping> ranges;
  for (const Mapping& mapping : segment_mappings(pid, name)) {
    if (!mapping.writable) continue;
    if (!ranges.empty() && ranges.back().end == mapping.begin) {
      ranges.back().end = mapping.end;
    } else {
      ranges.push_back(mapping);
    }
  }
  return ranges;
}

}  // namespace sluice::test
