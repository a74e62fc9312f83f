// SPDX-License-Identifier: Apache-2.0
// The bytes of a capture, whatever it is packed in: plain, gzip (also several members) or zstd.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace reference {

class Bytes {
 public:
  virtual ~Bytes() = default;
  // Fills at most `capacity` bytes and returns how many; 0 is the end. Throws std::runtime_error with the
  // file's name when the file cannot be read, and when an archive is damaged or ends too early.
  virtual std::size_t read(char* target, std::size_t capacity) = 0;
};

// Opens a path, or standard input for "-"; the packing is told by the first bytes, not by the name.
std::unique_ptr<Bytes> open_bytes(const std::string& path);

}  // namespace reference
