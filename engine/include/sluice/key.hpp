// SPDX-License-Identifier: Apache-2.0
// Keys: by what Stream::by() sends events of one kind to one worker, and by what a Table finds its rows.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include <sluice/detail/elsewhere.hpp>
#include <sluice/detail/hash.hpp>
#include <sluice/detail/key_equality.hpp>

namespace sluice {

// A key can be an integer, an enumeration, text, or a trivially copyable value: one without padding, or one that has a
// member `std::uint64_t hash(std::uint64_t seed) const` or `std::uint64_t hash() const`, which is the same for keys that are
// equal. Routes give the seed 0, tables one that is drawn for each pipeline: nobody outside can choose keys then that share
// their hash. With hash() alone somebody may.
template <class K>
concept Key = std::integral<K> || std::is_enum_v<K> || std::convertible_to<const K&, std::string_view> ||
    (std::is_trivially_copyable_v<K> && !detail::kSaysWhere<K> &&
     (std::has_unique_object_representations_v<K> || detail::HasHash<K>));

namespace detail {

// The text of a key that is one.
template <Key K>
std::string_view text_of_key(const K& key) noexcept {
  if constexpr (std::is_array_v<K> && std::is_same_v<std::remove_extent_t<K>, char>) {
    // Text that fills its array has no zero behind it.
    return {key, ::strnlen(key, sizeof(K))};
  } else {
    return std::string_view{key};
  }
}

// The hash that a key has of its own.
template <HasHash K>
std::uint64_t own_hash(const K& key, std::uint64_t seed) noexcept {
  if constexpr (HasSeededHash<K>) {
    return key.hash(seed);
  } else {
    return key.hash();
  }
}

// Beside the kind of a table's keys: where rows lie depends on it.
template <class K>
const char* hashed_by() noexcept {
  if constexpr (HasSeededHash<K>) return " by its hash(seed)";
  return HasHash<K> ? " by its hash()" : "";
}

// What a table finds its rows by. The table says what is no key.
template <class K>
std::uint64_t table_hash(const K& key, const HashSeed& seed) noexcept {
  if constexpr (HasHash<K>) {
    return hash_number(own_hash(key, seed.first), seed);
  } else if constexpr (std::integral<K> || std::is_enum_v<K>) {
    return hash_number(static_cast<std::uint64_t>(key), seed);
  } else if constexpr (std::convertible_to<const K&, std::string_view>) {
    const std::string_view text = text_of_key(key);
    return hash_bytes(text.data(), text.size(), seed);
  } else {
    return hash_bytes(&key, sizeof(key), seed);
  }
}

}  // namespace detail

// The same on every run and machine of one byte order, so that a resumed pipeline routes as it did before.
template <Key K>
std::uint64_t hash_key(const K& key) noexcept {
  if constexpr (detail::HasHash<K>) {
    return detail::mix(detail::own_hash(key, 0) + 0x9e3779b97f4a7c15ULL);
  } else if constexpr (std::integral<K> || std::is_enum_v<K>) {
    return detail::mix(static_cast<std::uint64_t>(key) + 0x9e3779b97f4a7c15ULL);
  } else if constexpr (std::convertible_to<const K&, std::string_view>) {
    const std::string_view text = detail::text_of_key(key);
    return detail::hash_bytes(text.data(), text.size());
  } else {
    return detail::hash_bytes(&key, sizeof(key));
  }
}

}  // namespace sluice
