// SPDX-License-Identifier: Apache-2.0
// Events: what travels in lanes. A trivially copyable value of fixed size, or a record: a head and bytes.
//
// A Record<Head> is a view. One that a handler is given points into the lane and is valid until the handler
// returns; one that is pushed is copied into the lane. Bytes is a record without a head.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

#include <sluice/detail/elsewhere.hpp>

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
struct Record<NoHead> {  // Bytes without a head.
  std::span<const std::byte> body;

  Record() = default;
  Record(std::span<const std::byte> bytes) noexcept : body{bytes} {}
  Record(std::string_view text) noexcept : body{std::as_bytes(std::span{text.data(), text.size()})} {}

  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(body.data()), body.size()}; }
};

using Bytes = Record<NoHead>;

namespace detail {

template <class T>
inline constexpr bool is_record = false;
template <class Head>
inline constexpr bool is_record<Record<Head>> = true;

}  // namespace detail

// What can travel: a value that another process understands as it stands.
template <class T>
concept Event = detail::is_record<T> ||(std::is_trivially_copyable_v<T> && !std::is_reference_v<T> &&
                                        alignof(T) <= 4096 && !detail::kSaysWhere<T>);

}  // namespace sluice
