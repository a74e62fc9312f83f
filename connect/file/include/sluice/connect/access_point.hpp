// SPDX-License-Identifier: Apache-2.0
// Where to resume a compressed capture without decompressing it from its start.
//
// A plain value for recoverable memory: a process that takes over the reading of a file needs the position of
// the last line (LinePosition) and, for speed, the newest AccessPoint at or before it. All zeros is a
// valid value and means "none yet". A point belongs to one file; reset it when going on to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sluice {

inline constexpr std::size_t kWindowBytes = 32768;  // How far deflate refers back (RFC 1951).

struct AccessPoint {
  enum class Kind : std::uint32_t { none, gzip_block, gzip_member, zstd_frame };

  std::uint64_t compressed_bytes = 0;    // Offset in the file of the first byte that was not consumed.
  std::uint64_t uncompressed_bytes = 0;  // Offset in the uncompressed stream.
  std::uint64_t member_bytes = 0;  // Uncompressed bytes of the gzip member so far, for its length check.
  std::uint32_t crc = 0;           // Of the gzip member so far, so that its checksum holds after a resume.
  std::uint32_t bits = 0;          // Bits of the byte before compressed_bytes that are still to be read.
  std::uint32_t window_bytes = 0;
  Kind kind = Kind::none;
  unsigned char window[kWindowBytes] =
      {};  // The last window_bytes of output, which the next block refers to.
};

static_assert(std::is_trivially_copyable_v<AccessPoint>);
static_assert(std::has_unique_object_representations_v<AccessPoint>);
static_assert(sizeof(AccessPoint) == 40 + kWindowBytes);

}  // namespace sluice
