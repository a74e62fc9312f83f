// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint_output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <zstd.h>

#include <sluice/detail/checksum.hpp>
#include <sluice/detail/file_limit.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

// Measured on tables of counters, half of them in use: 1 makes files that are an eighth smaller, and takes half as long again
// to write and to read.
constexpr int kLevel = -3;

template <class Value>
void put(std::byte* at, const Value& value) noexcept {
  std::memcpy(at, &value, sizeof(value));
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span{text.data(), text.size()});
}

}  // namespace

void ChunkEncoder::Free::operator()(ZSTD_CCtx_s* context) const noexcept {
  ::ZSTD_freeCCtx(context);
}

ChunkEncoder::ChunkEncoder()
    : zstd_{::ZSTD_createCCtx()},
      part_(sizeof(ChunkHead) + kMostPieces * sizeof(Piece) + ::ZSTD_compressBound(kMostChunkBytes) +
            sizeof(Checksum)),
      gathered_(kMostChunkBytes) {
  if (!zstd_) throw Error{{"compress", "checkpoints", "there is no memory for it", "give the process more"}};
  ::ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, kLevel);
  pieces_.reserve(kMostPieces);
}

std::span<const std::byte> ChunkEncoder::seal(std::size_t bytes) {
  checksum_ = checksum_of({part_.data(), bytes}, checksum_);
  put(part_.data() + bytes, checksum_);
  return {part_.data(), bytes + sizeof(Checksum)};
}

std::span<const std::byte> ChunkEncoder::head(const FileHead& head, const CheckpointIdentity& identity) {
  checksum_ = 0;
  raw_bytes_ = 0;
  pieces_.clear();
  put(part_.data(), head);
  std::size_t at = sizeof(head);
  for (const std::span<const std::byte> text : {bytes_of(identity.pipeline), bytes_of(identity.version)}) {
    std::copy(text.begin(), text.end(), part_.data() + at);
    at += text.size();
  }
  return seal(at);
}

std::span<const std::byte> ChunkEncoder::end(const Totals& totals) {
  put(part_.data(), ChunkHead{ChunkKind::end, 0, 0, sizeof(totals)});
  put(part_.data() + sizeof(ChunkHead), totals);
  return seal(sizeof(ChunkHead) + sizeof(totals));
}

void ChunkEncoder::take(Extent& extent) {
  const std::size_t bytes = std::min(extent.bytes.size(), kMostChunkBytes - raw_bytes_);
  if (bytes == 0) return;
  // A chunk of one piece is compressed from where it is.
  if (pieces_.size() == 1) std::memcpy(gathered_.data(), only_, raw_bytes_);
  if (!pieces_.empty()) std::memcpy(gathered_.data() + raw_bytes_, extent.bytes.data(), bytes);
  only_ = pieces_.empty() ? extent.bytes.data() : gathered_.data();
  pieces_.push_back({extent.offset, bytes});
  raw_bytes_ += bytes;
  extent = {extent.offset + bytes, extent.bytes.subspan(bytes)};
}

std::size_t ChunkEncoder::compress(std::size_t at) {
  const std::size_t bytes = ::ZSTD_compress2(zstd_.get(), part_.data() + at,
                                             part_.size() - sizeof(Checksum) - at, only_, raw_bytes_);
  if (::ZSTD_isError(bytes) != 0)
    throw Error{{"compress", "a checkpoint", ::ZSTD_getErrorName(bytes), "give the process more memory"}};
  return bytes;
}

std::span<const std::byte> ChunkEncoder::chunk() {
  const std::size_t table_bytes = pieces_.size() * sizeof(Piece);
  std::memcpy(part_.data() + sizeof(ChunkHead), pieces_.data(), table_bytes);
  const std::size_t stored = compress(sizeof(ChunkHead) + table_bytes);
  put(part_.data(), ChunkHead{ChunkKind::extents, static_cast<std::uint32_t>(pieces_.size()),
                              static_cast<std::uint32_t>(raw_bytes_), static_cast<std::uint32_t>(stored)});
  pieces_.clear();
  raw_bytes_ = 0;
  return seal(sizeof(ChunkHead) + table_bytes + stored);
}

CheckpointOutput::CheckpointOutput(const OwnDirectory& directory, CheckpointName name)
    : directory_{directory},
      name_{to_text(name)},
      part_name_{to_text({name.number, name.kind, true})},
      file_{directory.open_file(part_name_, O_EXCL)} {}

CheckpointOutput::~CheckpointOutput() {
  if (!part_name_.empty()) ::unlinkat(directory_.descriptor(), part_name_.c_str(), 0);
}

void CheckpointOutput::fail(const char* tried, int reason) const {
  throw Error{{tried, (directory_.path() / name_).string(), errno_text(reason),
               remedy_for(reason, kCheckpointSetting)}};
}

void CheckpointOutput::append(std::span<const std::byte> part) {
  if (beyond_the_limit_of_files(totals_.file_bytes + part.size()))
    throw Error{{"write", (directory_.path() / name_).string(), kBeyondTheLimitOfFiles, "raise that limit"}};
  totals_.file_bytes += part.size();
  while (!part.empty()) {
    const ssize_t written = ::write(file_.get(), part.data(), part.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("write", written < 0 ? errno : ENOSPC);
    part = part.subspan(static_cast<std::size_t>(written));
  }
}

void CheckpointOutput::append_chunk(ChunkEncoder& encoder) {
  append(encoder.chunk());
  ++totals_.chunks;
}

void CheckpointOutput::write(ChunkEncoder& encoder, const FileHead& head, const CheckpointIdentity& identity,
                             std::span<const Extent> extents) {
  append(encoder.head(head, identity));
  std::uint64_t written_to = 0;
  for (Extent extent : extents) {
    if (extent.offset < written_to || extent.offset > head.segment_bytes ||
        extent.bytes.size() > head.segment_bytes - extent.offset) {
      throw Error{{"write", (directory_.path() / name_).string(),
                   fmt::format("{} bytes at {} are not behind those before them, or beyond the segment",
                               extent.bytes.size(), extent.offset),
                   ""}};
    }
    written_to = extent.offset + extent.bytes.size();
    totals_.raw_bytes += extent.bytes.size();
    while (!extent.bytes.empty()) {
      encoder.take(extent);
      if (encoder.is_full()) append_chunk(encoder);
    }
  }
  if (!encoder.is_empty()) append_chunk(encoder);
  Totals totals = totals_;
  totals.file_bytes += sizeof(ChunkHead) + sizeof(Totals) + sizeof(Checksum);
  append(encoder.end(totals));
}

void CheckpointOutput::publish(bool sync) {
  const std::string path = (directory_.path() / name_).string();
  if (sync) bring_to_disk(file_.get(), path);
  if (::renameat(directory_.descriptor(), part_name_.c_str(), directory_.descriptor(), name_.c_str()) != 0)
    fail("publish", errno);
  part_name_.clear();
  if (sync) bring_to_disk(directory_.descriptor(), directory_.path().string());
}

void bring_to_disk(int fd, const std::string& path) {
  while (::fsync(fd) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL) return;  // A file system that has no such thing.
    throw Error{{"bring to the disk", path, errno_text(), remedy_for(errno, kCheckpointSetting)}};
  }
}

}  // namespace sluice::detail
