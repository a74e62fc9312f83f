// SPDX-License-Identifier: Apache-2.0
// The bytes of a checkpoint's file, and its name.
//
//   FileHead, the name of the pipeline, that of its version                             checksum
//   ChunkHead, pieces (offset, length), the bytes of the pieces as one frame of zstd    checksum     as often as need be
//   ChunkHead of the end, Totals                                                        checksum
//
// The checksum of each part has that of the part before it as its seed, the first one 0, so that it stands for everything up
// to there; the last one is the file's, and the next delta names it. Integers are little-endian. Nothing follows the end. The
// pieces of a file are in the order of their offsets, and none overlaps another. Head, names and their checksum are so in every format: a
// file of another one is told from a damaged one by them, and is not passed over.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "checkpoint/checkpoint_store.hpp"

namespace sluice::detail {

inline constexpr const char* kCheckpointSetting = "checkpoint.path";
inline constexpr std::array<char, 8> kCheckpointMagic{'S', 'L', 'U', 'I', 'C', 'E', 'C', 'P'};
inline constexpr std::uint32_t kCheckpointFormat = 1;
// Of a delta whose base is other deltas, which a reader of the first format takes for one that is missing.
inline constexpr std::uint32_t kRenewedFormat = 2;
// What a chunk has at most: bytes once they are decompressed, and pieces.
inline constexpr std::size_t kMostChunkBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMostPieces = 4096;
inline constexpr std::size_t kMostHeadTextBytes = 4096;

struct FileHead {
  std::array<char, 8> magic = kCheckpointMagic;
  std::uint32_t format = kCheckpointFormat;
  CheckpointKind kind = CheckpointKind::base;
  std::array<std::uint64_t, 2> run{};
  std::uint64_t segment_bytes = 0;
  std::uint64_t number = 0;
  std::uint64_t base = 0;         // A base's own number; or of the first delta of those that hold everything.
  std::uint64_t predecessor = 0;  // Of a base 0, and so is its checksum.
  std::uint64_t predecessor_checksum = 0;  // Of its whole file: another one of the same number is none.
  std::uint64_t time_ns = 0;
  std::uint32_t pipeline_bytes = 0;
  std::uint32_t version_bytes = 0;
};
static_assert(sizeof(FileHead) == 88 && std::is_trivially_copyable_v<FileHead>);

enum class ChunkKind : std::uint32_t { extents = 0x4b4e4843, end = 0x2e444e45 };  // "CHNK", "END."

struct ChunkHead {
  ChunkKind kind = ChunkKind::extents;
  std::uint32_t pieces = 0;
  std::uint32_t raw_bytes = 0;     // Of all its pieces.
  std::uint32_t stored_bytes = 0;  // Of the frame, or of Totals.
};
static_assert(sizeof(ChunkHead) == 16 && std::is_trivially_copyable_v<ChunkHead>);

struct Piece {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};
static_assert(sizeof(Piece) == 16 && std::is_trivially_copyable_v<Piece>);

struct Totals {
  std::uint64_t chunks = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t file_bytes = 0;  // With the last checksum.
};
static_assert(sizeof(Totals) == 24 && std::is_trivially_copyable_v<Totals>);

using Checksum = std::uint64_t;

// "checkpoint-000000000012.base", and .part behind it while it is written.
struct CheckpointName {
  std::uint64_t number = 0;
  CheckpointKind kind = CheckpointKind::base;
  bool part = false;

  friend bool operator==(const CheckpointName&, const CheckpointName&) = default;
};
std::string to_text(const CheckpointName& name);
// Of a file of another name: none.
std::optional<CheckpointName> parse_checkpoint_name(std::string_view name);

// A file beside them: their pipeline has ended, they are about to be removed, and none of them is gone on with.
inline constexpr const char* kEndedMark = "checkpoints.ended";
bool is_marked_as_ended(const OwnDirectory& directory);

// All of them in the directory, the lowest number first. Throws Error.
std::vector<CheckpointName> checkpoint_names(const OwnDirectory& directory);

}  // namespace sluice::detail
