// SPDX-License-Identifier: Apache-2.0
// How events lie in a lane: fixed-size events back to back, records behind a length word each.
//
// A record is a length word of eight bytes, then that many bytes, then padding to a multiple of eight.
// Records of 0 bytes are allowed; the largest is the lane's capacity less the length word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <sluice/ipc/lane.hpp>

namespace sluice::ipc {

inline constexpr std::uint64_t kRecordHeaderBytes = 8;

constexpr std::uint64_t record_stride(std::uint64_t payload_bytes) noexcept {
  return kRecordHeaderBytes + ((payload_bytes + 7) & ~std::uint64_t{7});
}

constexpr std::uint64_t largest_record(std::uint64_t capacity_bytes) noexcept {
  return capacity_bytes - kRecordHeaderBytes;
}

// Room for a record of `payload_bytes`, or nullptr when the lane is too full. Fill it, then advance the
// producer by record_stride(payload_bytes).
inline std::byte* reserve_record(LaneProducer& lane, std::uint64_t payload_bytes) noexcept {
  std::byte* at = lane.reserve(record_stride(payload_bytes));
  if (at == nullptr) return nullptr;
  std::memcpy(at, &payload_bytes, sizeof(payload_bytes));
  return at + kRecordHeaderBytes;
}

// The record at the consumer's position, when readable() is not 0. A length that cannot be is the peer's
// fault: the lane is quarantined and the span's data is nullptr. Advance by record_stride(size) after use.
inline std::span<const std::byte> peek_record(LaneConsumer& lane) noexcept {
  const std::uint64_t readable = lane.readable();
  std::uint64_t payload_bytes = 0;
  const std::byte* at = lane.data();
  // A record begins at a multiple of eight. Readers that take over what a stray store has hit may not.
  const bool aligned = lane.next() % kRecordHeaderBytes == 0;
  if (aligned && readable >= kRecordHeaderBytes)
    payload_bytes = read_once(*reinterpret_cast<const std::uint64_t*>(at));
  if (!aligned || readable < kRecordHeaderBytes || payload_bytes > readable - kRecordHeaderBytes ||
      record_stride(payload_bytes) > readable) {
    lane.quarantine();
    return {};
  }
  return {at + kRecordHeaderBytes, payload_bytes};
}

}  // namespace sluice::ipc
