// SPDX-License-Identifier: Apache-2.0
// Small files of text that a user names: whatever stands behind the path, reading and writing comes to an end.
#pragma once

#include <cstddef>
#include <string>

namespace sluice::detail {

struct TextRead {
  std::string text;
  std::string why;  // Why it could not be read; empty if it was.
};

// The whole file, if it has at most `most_bytes`: a device may never end. Of a pipe or a terminal each piece is waited for, two
// seconds at most, so that one that nobody writes into is an error and the output of another command is none. Blocks for no
// longer than that without a piece. Any thread.
TextRead read_text_file(const std::string& path, std::size_t most_bytes);

// Makes the file, or writes it anew. Why it could not be written; empty if it was. A pipe that nobody reads is an error at once.
// Any thread.
std::string write_text_file(const std::string& path, const std::string& text);

}  // namespace sluice::detail
