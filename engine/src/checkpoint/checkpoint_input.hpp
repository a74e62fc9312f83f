// SPDX-License-Identifier: Apache-2.0
// Reads the file of one checkpoint from its first to its last byte: what it is one of, and its chunks.
//
// Nothing that it says is believed before the checksum says so, and no length beyond what the format allows.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <sluice/detail/descriptor.hpp>

#include "checkpoint/checkpoint_format.hpp"

namespace sluice::detail {

// Why a file is not accepted: a part of a sentence.
struct NotWhole {
  std::string why;
  bool is_gone = false;   // Since its name was read: there may be newer ones.
  bool is_other = false;  // It is as another version of Sluice has written it, which can read it.
};

// Takes the chunks of a file: their pieces, which have so many bytes together, and their frame. Throws NotWhole.
class ChunkSink {
 public:
  virtual ~ChunkSink() = default;
  virtual void take(std::span<const Piece> pieces, std::span<const std::byte> frame,
                    std::size_t raw_bytes) = 0;
};

// Why a file cannot be read, which is no damage: nothing older takes its place.
[[noreturn]] void cannot_read(const std::string& path, int reason);

class CheckpointInput {
 public:
  // Reads the head. Throws NotWhole, and CannotRead when a call on the file fails, which names `path`; here and below.
  explicit CheckpointInput(const Descriptor& file, std::string path = "a checkpoint");

  const FileHead& head() const noexcept { return head_; }
  // As the head has it.
  CheckpointIdentity identity() const;

  // All that follows; the chunks go to the sink, if there is one.
  void read(ChunkSink* sink);
  // Only its last bytes: what they say is right if it is whole.
  void read_end();
  // Behind one of these.
  Checksum checksum() const noexcept { return checksum_; }
  const Totals& totals() const noexcept { return totals_; }

 private:
  // The next bytes of the part, behind those that were read of it; they move when more are read.
  std::span<const std::byte> next(std::size_t bytes);
  // Reads the checksum behind the part, and begins a new one.
  void end_part();
  bool read_chunk(ChunkSink* sink);
  void read_pieces(const ChunkHead& chunk);
  void check_end(std::span<const std::byte> payload);

  const Descriptor& file_;
  std::string path_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t at_ = 0;         // How far it is read.
  std::vector<std::byte> part_;  // Room for one.
  std::size_t part_bytes_ = 0;   // How much of it is read.
  std::vector<Piece> pieces_;
  std::uint64_t copied_to_ = 0;  // The end of the last piece; the next one is behind it.
  FileHead head_;
  std::string pipeline_;
  std::string version_;
  Checksum checksum_ = 0;
  Totals totals_;
};

}  // namespace sluice::detail
