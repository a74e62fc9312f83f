// SPDX-License-Identifier: Apache-2.0
// Key equality: whether the hash of a table's keys agrees with their operator==.
//
// Keys that are equal must have one hash. Numbers, and keys that are equal only if all their bytes are, can be hashed by
// these. C++20 does not tell whether an operator== was defaulted, but one that was is noexcept if that of every member is,
// as all but that of std::array are, and one that somebody wrote is not unless it says so. Each is tried out besides, when
// the table is compiled, on values that differ in one bit, or in two bytes: what ignores something, or takes one member for
// another, is found, and so is what cannot be computed at compile time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <sluice/detail/fields.hpp>

namespace sluice::detail {

// A key that says itself what its hash is: one that nobody can foresee who does not know the seed, or one that has none.
template <class K>
concept HasSeededHash = requires(const K& key, std::uint64_t seed) {
  { key.hash(seed) } -> std::convertible_to<std::uint64_t>;
};
template <class K>
concept HasPlainHash = requires(const K& key) {
  { key.hash() } -> std::convertible_to<std::uint64_t>;
};
template <class K>
concept HasHash = HasSeededHash<K> || HasPlainHash<K>;

// Keys are tried at about so many places, in portions that a compiler is willing to compute.
inline constexpr std::size_t kPlacesTried = 512;
inline constexpr std::size_t kPlacesInAPortion = 128;

template <class K>
inline constexpr std::size_t kStep = sizeof(K) / kPlacesTried + 1;

// Whether a K can have these bytes: one with a bool in it cannot have all of them.
template <class K, unsigned char base>
constexpr bool can_have_bytes() {
  std::array<unsigned char, sizeof(K)> bytes{};
  bytes.fill(base);
  return std::bit_cast<std::array<unsigned char, sizeof(K)>>(std::bit_cast<K>(bytes)) == bytes;
}
template <class K, unsigned char base>
concept CanHaveBytes = requires {
  typename std::enable_if_t<can_have_bytes<K, base>()>;
};

// A K of bytes `base`, but for one or two bits.
template <class K, unsigned char base>
class Flipped {
 public:
  constexpr Flipped() { bytes_.fill(base); }
  // The bytes are as before.
  constexpr K at(std::size_t place, unsigned bit) {
    flip(place, bit);
    const K value = std::bit_cast<K>(bytes_);
    flip(place, bit);
    return value;
  }
  constexpr K plain() const { return std::bit_cast<K>(bytes_); }

 private:
  constexpr void flip(std::size_t place, unsigned bit) {
    bytes_[place] = static_cast<unsigned char>(bytes_[place] ^ 1U << bit);
  }
  std::array<unsigned char, sizeof(K)> bytes_{};
};

// Whether values differ that differ in one bit of these places, one of `mask`; and with `swaps` those of which each has one
// bit more than the other, as far as two members lie apart that can be taken for each other.
template <class K, unsigned char base, unsigned mask, bool swaps, std::size_t portion>
constexpr bool tells_apart() {
  Flipped<K, base> flipped;
  const K value = flipped.plain();
  if (!(value == flipped.plain())) return false;
  const std::size_t first = portion * kPlacesInAPortion * kStep<K>;
  const std::size_t end = std::min(sizeof(K), first + kPlacesInAPortion * kStep<K>);
  for (std::size_t place = first; place < end; place += kStep<K>) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      if ((mask >> bit & 1U) != 0 && value == flipped.at(place, bit)) return false;
    }
    for (std::size_t apart = 1; swaps && apart <= 64 && place + apart < sizeof(K); apart *= 2) {
      if (flipped.at(place, 0) == flipped.at(place + apart, 0)) return false;
    }
  }
  return true;
}

// What can be computed at compile time, and is so.
template <class K, unsigned char base, unsigned mask, bool swaps, std::size_t portion>
concept TellsApart = requires {
  typename std::enable_if_t<tells_apart<K, base, mask, swaps, portion>()>;
};

template <class K, unsigned char base, unsigned mask, bool swaps>
constexpr bool tells_bits_apart() {
  constexpr std::size_t kPortions = (sizeof(K) - 1) / kStep<K> / kPlacesInAPortion + 1;
  return []<std::size_t... portion>(std::index_sequence<portion...>) {
    return (TellsApart<K, base, mask, swaps, portion> && ...);
  }
  (std::make_index_sequence<kPortions>{});
}

// From 0, which a bool can be as well, and from 'a' to 'A'. Compilers take long for large keys, which are texts mostly: one
// bit of each place has to do.
template <class K>
constexpr bool compares_all_bytes() {
  constexpr unsigned kOfABool = 1;
  constexpr unsigned kOfALetter = 'a' ^ 'A';
  if constexpr (sizeof(K) > kPlacesInAPortion) {
    constexpr unsigned char kBase = CanHaveBytes<K, 'a'> ? 'a' : 0;
    return tells_bits_apart < K, kBase, kBase == 0 ? kOfABool : kOfALetter, false > ();
  } else if constexpr (CanHaveBytes<K, 'a'>) {
    return tells_bits_apart<K, 0, 0xff, true>() && tells_bits_apart<K, 'a', kOfALetter, false>();
  } else {
    return tells_bits_apart<K, 0, kOfABool, true>();
  }
}

template <class K>
concept EqualWithoutThrowing = requires(const K& one, const K& other) {
  { one == other }
  noexcept;
};

// Stands for the initialiser of a member that is a std::array.
struct ArrayInitialiser {
  template <class T, std::size_t count>
  operator std::array<T, count>() const noexcept;
};

// Whether a std::array is among the members, or among theirs.
template <class K, std::size_t at = 0>
constexpr bool has_an_array() {
  constexpr bool kHere = std::is_aggregate_v<K> && kTakes<K, ArrayInitialiser, at, 1>;
  if constexpr (kHere || at == kPlacesTried || !kTakes<K, FlatInitialiser, at, 1>) {
    return kHere;
  } else {
    return has_an_array<K, at + 1>();
  }
}

// A key that a table can find: it says its hash, or it is hashed by its bytes and compared by them.
template <class K>
inline constexpr bool kHashAgrees = [] {
  if constexpr (HasHash<K> || std::is_arithmetic_v<K>) {
    return true;
  } else if constexpr (std::is_enum_v<K>) {
    return EqualWithoutThrowing<K>;
  } else if constexpr (!EqualWithoutThrowing<K> && !has_an_array<K>()) {
    return false;
  } else {
    return compares_all_bytes<K>();
  }
}();
// Its operator== is never noexcept.
template <class T, std::size_t count>
inline constexpr bool kHashAgrees<std::array<T, count>> = kHashAgrees<T> && !HasHash<T>;

}  // namespace sluice::detail
