// SPDX-License-Identifier: Apache-2.0
// Lines of a file that anybody may have written: none takes more memory than it may.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::command {

class BoundedLines {
 public:
  // `file` is open for reading, at its beginning; `most` bytes are the longest line, without its end.
  BoundedLines(int file, std::size_t most) : file_{file}, most_{most} {}

  // Goes to the next line; false: there is none. Blocks as long as the file does. Throws Error if it cannot be read.
  bool next();
  // Of a line that is too long more than `most` bytes, and not all.
  std::string_view text() const noexcept { return line_; }
  bool is_too_long() const noexcept { return line_.size() > most_; }
  // Whether its end is there; of one that is too long it is not known.
  bool has_end() const noexcept { return has_end_; }
  // From the beginning of the file.
  std::uint64_t offset() const noexcept { return offset_; }

 private:
  static constexpr std::size_t kChunk = std::size_t{64} << 10;

  // Whether there are bytes at at_.
  bool fill();
  void take_line();

  int file_;
  std::size_t most_;
  std::string line_;
  bool has_end_ = true;
  std::uint64_t offset_ = 0;
  std::vector<char> chunk_ = std::vector<char>(kChunk);
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t read_ = 0;  // Bytes of the file, up to the end of the chunk.
};

}  // namespace sluice::command
