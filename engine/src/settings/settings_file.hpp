// SPDX-License-Identifier: Apache-2.0
// Reading a profile file into lines, without knowing what they mean. Private to the engine.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sluice::detail {

struct ProfileLine {
  std::size_t number;  // From 1.
  std::string key;
  std::string value;
};

// The lines `key = value` of the file, in order; blank lines and comments are left out. Throws Error if the
// file cannot be read or has another kind of line. Blocks on the file system.
std::vector<ProfileLine> profile_lines(const std::string& path);

}  // namespace sluice::detail
