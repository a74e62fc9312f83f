// SPDX-License-Identifier: Apache-2.0
// The hash of keys: the same on every machine of one byte order, and in every life of a pipeline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice::detail {

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

}  // namespace sluice::detail
