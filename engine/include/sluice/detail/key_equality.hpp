// SPDX-License-Identifier: Apache-2.0
// Key equality: whether the hash of a table's keys agrees with their operator==.
//
// Keys that are equal must have one hash. Numbers and keys that are equal only if all their bytes are can be hashed by
// these; whether an operator== is of that kind is tried out when the table is compiled, on values that differ in one byte.
// That is a test and no proof: an operator== that ignores a byte, or the case of letters, is found, and so is one that
// cannot be computed at compile time; one that is equal for two values that differ in several bytes at once is not.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sluice::detail {

// A key that says itself what its hash is.
template <class K>
concept HasHash = requires(const K& key) {
  { key.hash() } -> std::convertible_to<std::uint64_t>;
};

// Large keys are tried at about so many places.
inline constexpr std::size_t kPlacesTried = 128;

// Whether a value of bytes `base` equals itself, and no value of which one byte has the bits of `flip` turned.
template <class K, unsigned char base, unsigned char flip>
constexpr bool tells_bytes_apart() {
  std::array<unsigned char, sizeof(K)> bytes{};
  bytes.fill(base);
  const K value = std::bit_cast<K>(bytes);
  if (!(value == std::bit_cast<K>(bytes))) return false;
  for (std::size_t i = 0; i < sizeof(K); i += sizeof(K) / kPlacesTried + 1) {
    bytes[i] = static_cast<unsigned char>(base ^ flip);
    if (value == std::bit_cast<K>(bytes)) return false;
    bytes[i] = base;
  }
  return true;
}

// Whether a K can have these bytes: one with a bool in it cannot have all of them.
template <class K, unsigned char base>
constexpr bool can_have_bytes() {
  std::array<unsigned char, sizeof(K)> bytes{};
  bytes.fill(base);
  return std::bit_cast<std::array<unsigned char, sizeof(K)>>(std::bit_cast<K>(bytes)) == bytes;
}

// What can be computed at compile time.
template <class K, unsigned char base, unsigned char flip>
concept CanTellBytesApart = requires {
  typename std::bool_constant<tells_bytes_apart<K, base, flip>()>;
};
template <class K, unsigned char base>
concept CanHaveBytes = requires {
  typename std::enable_if_t<can_have_bytes<K, base>()>;
};

// From 0 to 1, which a bool can be as well, and from 'a' to 'A'.
template <class K>
constexpr bool compares_all_bytes() {
  if constexpr (std::is_scalar_v<K>) {
    return true;
  } else if constexpr (!CanTellBytesApart<K, 0, 1>) {
    return false;
  } else if constexpr (!CanHaveBytes<K, 'a'>) {
    return tells_bytes_apart<K, 0, 1>();
  } else {
    return tells_bytes_apart<K, 0, 1>() && tells_bytes_apart<K, 'a', 'a' ^ 'A'>();
  }
}

// A key that a table can find: it says its hash, or it is hashed by its bytes and compared by them.
template <class K>
inline constexpr bool kHashAgrees = [] {
  if constexpr (HasHash<K>) {
    return true;
  } else {
    return compares_all_bytes<K>();
  }
}();

}  // namespace sluice::detail
