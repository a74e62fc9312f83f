// SPDX-License-Identifier: Apache-2.0
// The files that a log has become by its rotations: known by their names, beside it in its directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files_there.hpp"

namespace sluice::detail {

// Whether a file called `name` was once called `log`: by a number or a date behind it (log.1, log-20260101, log.2.gz), or by a
// word (log.old, log.bak, log.prev); of one called x.log also by what stands before its end: x.1.log, x-2026-01-01.log.zst.
bool is_rotated_name(std::string_view name, std::string_view log);

// Those of `path` that are there, in the order in which they were written to last; by their names where that is the same, of which
// a higher number is older and a later date is newer. One that is being compressed is what it is compressed from. None when the
// directory cannot be read.
std::optional<std::vector<FileThere>> rotated_files(const std::string& path);

// What stands in a file, compressed or not: the first kHeadBytes of its text, and how long the text is. A gzip member tells
// that in 32 bits, a zstd frame perhaps not at all: then it is read to its end.
struct TextOfFile {
  std::string head;
  std::uint64_t bytes = 0;
  bool compressed = false;
  bool in_32_bits = false;

  bool has_bytes(std::uint64_t count) const { return bytes == (in_32_bits ? count & 0xffff'ffff : count); }
};
// None when the file has another name by now, or none. Throws Error for what cannot be read.
std::optional<TextOfFile> text_of(const FileThere& file);

// gzip, zstd or plain: whether the name says otherwise.
bool is_of_unreadable_kind(std::string_view name);

}  // namespace sluice::detail
