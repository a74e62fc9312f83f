// SPDX-License-Identifier: Apache-2.0
// Wire: how a type of event lies in a lane, and how it is read from there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include <sluice/event.hpp>
#include <sluice/ipc/framing.hpp>

namespace sluice::detail {

// How a type of event is written into a lane and read from it.
template <class T>
struct Wire {
  static constexpr std::uint64_t stride(const T&) noexcept { return sizeof(T); }
  static constexpr std::uint64_t payload_bytes(const T&) noexcept { return sizeof(T); }
  static void write(std::byte* at, const T& event) noexcept { std::memcpy(at, &event, sizeof(T)); }
};

template <class Head>
struct Wire<Record<Head>> {
  static constexpr std::uint64_t kHeadBytes = std::is_empty_v<Head> ? 0 : sizeof(Head);

  static std::uint64_t payload_bytes(const Record<Head>& event) noexcept {
    return kHeadBytes + event.body.size();
  }
  static std::uint64_t stride(const Record<Head>& event) noexcept {
    return ipc::record_stride(payload_bytes(event));
  }
  static void write(std::byte* at, const Record<Head>& event) noexcept {
    const std::uint64_t bytes = payload_bytes(event);
    std::memcpy(at, &bytes, sizeof(bytes));
    at += ipc::kRecordHeaderBytes;
    if constexpr (kHeadBytes != 0) std::memcpy(at, &event.head, kHeadBytes);
    if (!event.body.empty()) std::memcpy(at + kHeadBytes, event.body.data(), event.body.size());
  }
  // False when the payload is too short for the head.
  static bool read(std::span<const std::byte> payload, Record<Head>& event) noexcept {
    if (payload.size() < kHeadBytes) return false;
    if constexpr (kHeadBytes != 0) std::memcpy(&event.head, payload.data(), kHeadBytes);
    event.body = payload.subspan(kHeadBytes);
    return true;
  }
};

}  // namespace sluice::detail
