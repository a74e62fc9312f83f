// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint_input.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <zstd.h>

#include <sluice/detail/checksum.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

constexpr std::size_t kMostGrowth = std::size_t{64} << 10;

[[noreturn]] void refuse(std::string why) {
  throw NotWhole{std::move(why)};
}

template <class Value>
Value value_at(std::span<const std::byte> bytes) noexcept {
  Value value{};
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t size_of(const Descriptor& file, const std::string& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) cannot_read(path, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

void cannot_read(const std::string& path, int reason) {
  const std::string remedy = reason == EMFILE || reason == ENFILE
                                 ? remedy_for(reason, kCheckpointSetting)
                                 : "nothing older is taken in its place: start again once it can be read, or "
                                   "move it away if it never can";
  throw CannotRead{{"read", path, errno_text(reason), remedy}, reason};
}

CheckpointInput::CheckpointInput(const Descriptor& file, std::string path)
    : file_{file}, path_{std::move(path)}, file_bytes_{size_of(file_, path_)} {
  head_ = value_at<FileHead>(next(sizeof(FileHead)));
  if (head_.magic != kCheckpointMagic) refuse("it is no checkpoint");
  if (head_.pipeline_bytes > kMostHeadTextBytes || head_.version_bytes > kMostHeadTextBytes)
    refuse("its head is damaged");
  pipeline_ = text_of(next(head_.pipeline_bytes));
  version_ = text_of(next(head_.version_bytes));
  end_part();
  // The head is the same in all formats; one that is damaged says nothing of its format.
  if (head_.format < kCheckpointFormat || head_.format > kRenewedFormat) {
    throw NotWhole{
        .why = fmt::format("Sluice {} made it, its format is {}, and {} to {} are what this version reads",
                           printable(version_), head_.format, kCheckpointFormat, kRenewedFormat),
        .is_other = true};
  }
  const bool is_base = head_.kind == CheckpointKind::base;
  if (is_base ? head_.base != head_.number
              : head_.kind != CheckpointKind::delta || head_.base >= head_.number)
    refuse("its head says what cannot be");
}

CheckpointIdentity CheckpointInput::identity() const {
  return {head_.run, head_.segment_bytes, pipeline_, version_};
}

std::span<const std::byte> CheckpointInput::next(std::size_t bytes) {
  if (bytes > file_bytes_ - at_) refuse(fmt::format("it is cut off after {} bytes", file_bytes_));
  const std::size_t begin = part_bytes_;
  if (part_.size() < begin + bytes) part_.resize(begin + bytes + kMostGrowth);
  while (part_bytes_ < begin + bytes) {
    const ssize_t found = ::pread(file_.get(), part_.data() + part_bytes_, begin + bytes - part_bytes_,
                                  static_cast<off_t>(at_));
    if (found < 0) cannot_read(path_, errno);
    if (found == 0) refuse("it became shorter while it was read");
    part_bytes_ += static_cast<std::size_t>(found);
    at_ += static_cast<std::uint64_t>(found);
  }
  return {part_.data() + begin, bytes};
}

void CheckpointInput::end_part() {
  const std::size_t bytes = part_bytes_;
  const auto said = value_at<Checksum>(next(sizeof(Checksum)));
  checksum_ = checksum_of({part_.data(), bytes}, checksum_);
  if (said != checksum_) refuse(fmt::format("it is damaged before byte {}", at_));
  part_bytes_ = 0;
}

void CheckpointInput::read(ChunkSink* sink) {
  while (read_chunk(sink)) {
  }
  if (at_ != file_bytes_) refuse(fmt::format("{} bytes stand behind its end", file_bytes_ - at_));
}

void CheckpointInput::read_end() {
  constexpr std::size_t kEndBytes = sizeof(ChunkHead) + sizeof(Totals) + sizeof(Checksum);
  if (file_bytes_ - at_ < kEndBytes) refuse(fmt::format("it is cut off after {} bytes", file_bytes_));
  at_ = file_bytes_ - kEndBytes;
  const auto chunk = value_at<ChunkHead>(next(sizeof(ChunkHead)));
  if (chunk.kind != ChunkKind::end || chunk.stored_bytes != sizeof(Totals)) refuse("its end is not there");
  totals_ = value_at<Totals>(next(sizeof(Totals)));
  checksum_ = value_at<Checksum>(next(sizeof(Checksum)));
  if (totals_.file_bytes != at_) refuse("it does not hold what its end says");
}

// False behind the end.
bool CheckpointInput::read_chunk(ChunkSink* sink) {
  const auto chunk = value_at<ChunkHead>(next(sizeof(ChunkHead)));
  // Before the checksum is looked at: no more is read than a chunk can have.
  static const std::size_t most_stored = ::ZSTD_compressBound(kMostChunkBytes);
  if (chunk.pieces > kMostPieces || chunk.raw_bytes > kMostChunkBytes || chunk.stored_bytes > most_stored)
    refuse(fmt::format("it is damaged at byte {}", at_));
  next(chunk.pieces * sizeof(Piece));
  next(chunk.stored_bytes);
  const std::size_t stored_at = part_bytes_ - chunk.stored_bytes;
  end_part();
  const std::span<const std::byte> stored{part_.data() + stored_at, chunk.stored_bytes};
  if (chunk.kind == ChunkKind::end) {
    check_end(stored);
    return false;
  }
  if (chunk.kind != ChunkKind::extents || chunk.pieces == 0 || chunk.raw_bytes == 0)
    refuse("it has a part of an unknown kind");
  read_pieces(chunk);
  ++totals_.chunks;
  totals_.raw_bytes += chunk.raw_bytes;
  if (::ZSTD_getFrameContentSize(stored.data(), stored.size()) != chunk.raw_bytes)
    refuse("a chunk has another length than it says");
  if (sink != nullptr) sink->take(pieces_, stored, chunk.raw_bytes);
  return true;
}

void CheckpointInput::read_pieces(const ChunkHead& chunk) {
  pieces_.resize(chunk.pieces);
  std::memcpy(pieces_.data(), part_.data() + sizeof(ChunkHead), chunk.pieces * sizeof(Piece));
  std::uint64_t left = chunk.raw_bytes;
  for (const Piece& piece : pieces_) {
    if (piece.bytes > left || piece.offset < copied_to_ || piece.offset > head_.segment_bytes ||
        piece.bytes > head_.segment_bytes - piece.offset)
      refuse("it has bytes twice, or beyond the segment");
    copied_to_ = piece.offset + piece.bytes;
    left -= piece.bytes;
  }
  if (left != 0) refuse("a chunk has another length than it says");
}

void CheckpointInput::check_end(std::span<const std::byte> payload) {
  if (payload.size() != sizeof(Totals)) refuse("its end is damaged");
  const auto totals = value_at<Totals>(payload);
  if (totals.chunks != totals_.chunks || totals.raw_bytes != totals_.raw_bytes || totals.file_bytes != at_)
    refuse("it does not hold what its end says");
  totals_ = totals;
}

}  // namespace sluice::detail
