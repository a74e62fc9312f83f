// SPDX-License-Identifier: Apache-2.0
// Routes: which worker of the next stage gets an event.
//
// By key: the same key goes to the same worker, in order. Round-robin and least-loaded keep no order between
// events. Broadcast: every worker gets every event. A route is chosen on the stream, before to<>().
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>

#include <sluice/event.hpp>

namespace sluice {

// Mixes all bits of a word into all bits of the result. Source: the finaliser of MurmurHash3 (A. Appleby).
constexpr std::uint64_t mix(std::uint64_t word) noexcept {
  word ^= word >> 33;
  word *= 0xff51afd7ed558ccdULL;
  word ^= word >> 33;
  word *= 0xc4ceb9fe1a85ec53ULL;
  return word ^ (word >> 33);
}

// The 128 bits of a product, folded. Source: the mixing step of wyhash (Wang Yi).
constexpr std::uint64_t fold(std::uint64_t left, std::uint64_t right) noexcept {
  __extension__ using Product = unsigned __int128;
  const Product product = static_cast<Product>(left) * right;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// One multiplication for sixteen bytes: keys of texts are several times as long as numbers.
inline std::uint64_t hash_bytes(const void* data, std::size_t bytes) noexcept {
  constexpr std::uint64_t kFirst = 0xa0761d6478bd642fULL;
  constexpr std::uint64_t kSecond = 0xe7037ed1a0b428dbULL;
  const auto* at = static_cast<const std::byte*>(data);
  std::uint64_t hash = bytes * 0x9e3779b97f4a7c15ULL;
  std::uint64_t words[2] = {0, 0};
  for (; bytes >= 16; at += 16, bytes -= 16) {
    std::memcpy(words, at, 16);
    hash = fold(words[0] ^ kFirst, words[1] ^ kSecond ^ hash);
  }
  if (bytes != 0) {
    words[0] = words[1] = 0;
    std::memcpy(words, at, bytes);
    hash = fold(words[0] ^ kFirst, words[1] ^ kSecond ^ hash);
  }
  return fold(hash ^ kFirst, kSecond);
}

// A key can be an integer, an enumeration, text, or a trivially copyable value without padding.
template <class K>
concept Key = std::integral<K> || std::is_enum_v<K> || std::convertible_to<const K&, std::string_view> ||
    (std::is_trivially_copyable_v<K> && !Elsewhere<K> && std::has_unique_object_representations_v<K>);

// The same on every run and machine of one byte order, so that a resumed pipeline routes as it did before.
template <Key K>
std::uint64_t hash_key(const K& key) noexcept {
  if constexpr (std::integral<K> || std::is_enum_v<K>) {
    return mix(static_cast<std::uint64_t>(key) + 0x9e3779b97f4a7c15ULL);
  } else if constexpr (std::is_array_v<K> && std::is_same_v<std::remove_extent_t<K>, char>) {
    // Text that fills its array has no zero behind it.
    return hash_bytes(key, ::strnlen(key, sizeof(K)));
  } else if constexpr (std::convertible_to<const K&, std::string_view>) {
    const std::string_view text{key};
    return hash_bytes(text.data(), text.size());
  } else {
    return hash_bytes(&key, sizeof(key));
  }
}

enum class RouteKind { round_robin, by_key, least_loaded, broadcast };

struct Route {
  RouteKind kind = RouteKind::round_robin;
  // By key: the hash of an event's key. The function object lives in `key`.
  std::uint64_t (*hash)(const void* key, const void* event) = nullptr;
  std::shared_ptr<const void> key;

  template <class T, class F>
  static Route by(F key_of) {
    using K = std::remove_cvref_t<std::invoke_result_t<const F&, const T&>>;
    static_assert(Key<K>, "a key is an integer, an enumeration, text, or a value without padding");
    Route route{RouteKind::by_key, nullptr, std::make_shared<const F>(std::move(key_of))};
    route.hash = [](const void* key, const void* event) {
      return hash_key<K>(std::invoke(*static_cast<const F*>(key), *static_cast<const T*>(event)));
    };
    return route;
  }
};

}  // namespace sluice
