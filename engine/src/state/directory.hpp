// SPDX-License-Identifier: Apache-2.0
// The directory at the front of a worker's state: which pieces there are, and what they were kept as.
//
// An entry counts once `count` covers it; a process that dies before has claimed nothing, and its replacement writes the
// same again. Written by the worker; what it says is not trusted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <sluice/detail/state_area.hpp>

namespace sluice::detail {

inline constexpr std::size_t kMostPieces = 64;
inline constexpr std::size_t kPieceNameBytes = 40;
inline constexpr std::size_t kPieceTypeBytes = 192;

struct Piece {
  char name[kPieceNameBytes];
  std::uint64_t offset;
  std::uint64_t bytes;
  std::uint64_t is_table;
  char type[kPieceTypeBytes];  // Ends with a zero.
};
struct Directory {
  std::atomic<std::uint64_t> count;
  std::uint64_t reserved[7];
  Piece pieces[kMostPieces];
};
static_assert(sizeof(Piece) == 256);
static_assert(sizeof(Directory) % StateArea::kAlignment == 0);

inline std::string_view name_of(const Piece& piece) {
  return {piece.name, ::strnlen(piece.name, kPieceNameBytes)};
}
inline std::string_view type_of(const Piece& piece) {
  return {piece.type, ::strnlen(piece.type, kPieceTypeBytes)};
}
inline bool lies_in(const Piece& piece, std::size_t area_bytes) {
  return piece.offset % StateArea::kAlignment == 0 && piece.offset <= area_bytes &&
         piece.bytes <= area_bytes - piece.offset;
}

}  // namespace sluice::detail
