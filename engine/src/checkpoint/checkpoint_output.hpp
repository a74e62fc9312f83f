// SPDX-License-Identifier: Apache-2.0
// Writes the file of one checkpoint under its name with .part, chunk by chunk, and gives it its name.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "checkpoint/checkpoint_format.hpp"

struct ZSTD_CCtx_s;

namespace sluice::detail {

// Turns extents into the parts of a file, one at a time. Used for many files, since its memory is some MiB.
class ChunkEncoder {
 public:
  ChunkEncoder();

  // The head of a file, with the names; `last` becomes the seed of what follows.
  std::span<const std::byte> head(const FileHead& head, const CheckpointIdentity& identity);
  std::span<const std::byte> end(const Totals& totals);

  // Puts pieces of the extent into the chunk, until it is full or nothing is left; takes off what it took.
  void take(Extent& extent);
  bool is_full() const noexcept { return raw_bytes_ == kMostChunkBytes || pieces_.size() == kMostPieces; }
  bool is_empty() const noexcept { return pieces_.empty(); }
  // The chunk so far; it is empty behind that. Throws Error.
  std::span<const std::byte> chunk();

  Checksum checksum() const noexcept { return checksum_; }

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const noexcept;
  };

  std::span<const std::byte> seal(std::size_t bytes);
  std::size_t compress(std::size_t at);

  std::unique_ptr<ZSTD_CCtx_s, Free> zstd_;
  std::vector<std::byte> part_;  // What is given out.
  std::vector<Piece> pieces_;
  const std::byte* only_ = nullptr;  // Of a single piece, which is not copied.
  std::vector<std::byte> gathered_;  // Of several.
  std::size_t raw_bytes_ = 0;
  Checksum checksum_ = 0;
};

class CheckpointOutput {
 public:
  // Makes the file. What it made goes with it, unless it was published. Throws Error, here and below.
  CheckpointOutput(const OwnDirectory& directory, CheckpointName name);
  ~CheckpointOutput();
  CheckpointOutput(const CheckpointOutput&) = delete;
  CheckpointOutput& operator=(const CheckpointOutput&) = delete;

  // All of the file.
  void write(ChunkEncoder& encoder, const FileHead& head, const CheckpointIdentity& identity,
             std::span<const Extent> extents);
  // Behind it: the file has its name. With `sync` it is on the disk first, and so is the name when this returns.
  void publish(bool sync);

  std::uint64_t bytes() const noexcept { return totals_.file_bytes; }
  std::uint64_t raw_bytes() const noexcept { return totals_.raw_bytes; }

 private:
  void append(std::span<const std::byte> part);
  void append_chunk(ChunkEncoder& encoder);
  [[noreturn]] void fail(const char* tried, int reason) const;

  const OwnDirectory& directory_;
  std::string name_;
  std::string part_name_;
  Descriptor file_;
  Totals totals_;
};

// Brings a directory to the disk, or a file. Throws Error; a file system that knows no such thing for directories is none.
void bring_to_disk(int fd, const std::string& path);

}  // namespace sluice::detail
