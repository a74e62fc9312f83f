// SPDX-License-Identifier: Apache-2.0
// Events: what travels in lanes. A trivially copyable value of fixed size, or a record: a head and bytes.
//
// A Record<Head> is a view. One that a handler is given points into the lane and is valid until the handler
// returns; one that is pushed is copied into the lane. Bytes is a record without a head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

#include <sluice/ipc/framing.hpp>

namespace sluice {

struct NoHead {};

template <class Head>
struct Record {
  static_assert(std::is_trivially_copyable_v<Head> && alignof(Head) <= 8,
                "a record's head is a trivially copyable value aligned to at most 8 bytes");
  Head head;
  std::span<const std::byte> body;

  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(body.data()), body.size()}; }
};

template <>
struct Record<NoHead> {
  std::span<const std::byte> body;

  Record() = default;
  Record(std::span<const std::byte> bytes) noexcept : body{bytes} {}
  Record(std::string_view text) noexcept : body{std::as_bytes(std::span{text.data(), text.size()})} {}

  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(body.data()), body.size()}; }
};

using Bytes = Record<NoHead>;

template <class T>
inline constexpr bool is_record = false;
template <class Head>
inline constexpr bool is_record<Record<Head>> = true;

// Trivially copyable, and yet worth nothing in another process: it says where something is.
template <class T>
concept Elsewhere = std::is_pointer_v<T> || std::ranges::view<T>;

template <class T>
concept Event = is_record<T> ||
    (std::is_trivially_copyable_v<T> && !Elsewhere<T> && !std::is_reference_v<T> && alignof(T) <= 4096);

// What the engine knows of a type of event.
struct EventType {
  bool record = false;
  std::uint64_t bytes = 0;  // Of a fixed-size event; of the head of a record.
  const std::type_info* type = nullptr;

  std::string name() const;  // Of the type, as the compiler names it.

  template <Event T>
  static EventType of() {
    if constexpr (is_record<T>) {
      return {true, sizeof(T) - sizeof(std::span<const std::byte>), &typeid(T)};
    } else {
      return {false, sizeof(T), &typeid(T)};
    }
  }
};

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

}  // namespace sluice
