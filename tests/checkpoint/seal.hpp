// SPDX-License-Identifier: Apache-2.0
// Makes the checksums of a checkpoint's file right, whatever else it says: for who wants to know what is made of that.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include <sluice/detail/checksum.hpp>

#include "checkpoint/checkpoint_format.hpp"

namespace sluice::test {

// As far as its parts can be told from each other.
inline void seal(std::span<std::byte> file) {
  std::uint64_t sum = 0;
  // The part of so many bytes, and its checksum; false when they are not there.
  const auto seal_part = [&file, &sum](std::size_t bytes) {
    if (file.size() < sizeof(sum) || bytes > file.size() - sizeof(sum)) return false;
    sum = detail::checksum_of(file.first(bytes), sum);
    std::memcpy(file.data() + bytes, &sum, sizeof(sum));
    file = file.subspan(bytes + sizeof(sum));
    return true;
  };
  detail::FileHead head;
  if (file.size() < sizeof(head)) return;
  std::memcpy(&head, file.data(), sizeof(head));
  if (!seal_part(sizeof(head) + std::size_t{head.pipeline_bytes} + head.version_bytes)) return;
  for (detail::ChunkHead chunk; file.size() >= sizeof(chunk);) {
    std::memcpy(&chunk, file.data(), sizeof(chunk));
    if (!seal_part(sizeof(chunk) + chunk.pieces * sizeof(detail::Piece) + chunk.stored_bytes)) return;
  }
}

}  // namespace sluice::test
