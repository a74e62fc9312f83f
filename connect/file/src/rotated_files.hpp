// SPDX-License-Identifier: Apache-2.0
// The files that a log has become by its rotations: known by their names, beside it in its directory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files_there.hpp"

namespace sluice::detail {

class ByteSource;
class Decoder;
class FileDescriptor;

// Whether a file called `name` was once called `log`: by a number or a date behind it (log.1, log-20260101, log.2.gz), or by a
// word (log.old, log.bak, log.prev); of one called x.log also by what stands before its end: x.1.log, x-2026-01-01.log.zst.
bool is_rotated_name(std::string_view name, std::string_view log);

// Those of `path` that are there, in the order in which they were written to last; by their names where that is the same, of which
// a higher number is older and a later date is newer. One that is being compressed is what it is compressed from. None when the
// directory cannot be read.
std::optional<std::vector<FileThere>> rotated_files(const std::string& path);

// What stands in a file, compressed or not: the first kHeadBytes of its text, and how long the text is.
class TextOfFile {
 public:
  TextOfFile(const std::string& path, FileDescriptor opened, std::uint64_t file_bytes);
  TextOfFile(TextOfFile&&) noexcept;
  ~TextOfFile();

  std::string_view head() const noexcept { return head_; }
  bool compressed() const noexcept { return compressed_; }
  // Of an archive of several pieces, and of one that does not say it, its text is read to its end for that.
  bool has_bytes(std::uint64_t count);

 private:
  void read_to_end();

  std::string path_;
  std::string head_;
  bool compressed_ = false;
  std::optional<std::uint64_t> told_bytes_;  // By the last gzip member, in 32 bits, or the first zstd frame.
  bool in_32_bits_ = false;
  std::optional<std::uint64_t> bytes_;  // As they were counted.
  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<Decoder> decoder_;
};
// None when the file has another name by now, or none. Throws Error for what cannot be read, and Unavailable.
std::optional<TextOfFile> text_of(const FileThere& file);

// gzip, zstd or plain: whether the name says otherwise.
bool is_of_unreadable_kind(std::string_view name);

}  // namespace sluice::detail
