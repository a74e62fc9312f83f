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

// What keys a hash. Without the words of a seed it is the same in every life of a pipeline: routes have none. Who does not
// know the seed cannot choose keys that share a hash.
struct HashSeed {
  std::uint64_t first = 0xa0761d6478bd642fULL;
  std::uint64_t second = 0xe7037ed1a0b428dbULL;

  // Of a number that was drawn; 0 is none.
  static constexpr HashSeed of(std::uint64_t drawn) noexcept {
    HashSeed seed;
    seed.first ^= mix(drawn);
    // Odd, so that no bit of a number is lost in the product with it.
    seed.second ^= mix(drawn ^ (drawn << 1)) & ~std::uint64_t{1};
    return seed;
  }
};

// One multiplication for sixteen bytes: keys of texts are several times as long as numbers.
inline std::uint64_t hash_bytes(const void* data, std::size_t bytes, const HashSeed& seed = {}) noexcept {
  const auto* at = static_cast<const std::byte*>(data);
  std::uint64_t hash = bytes * 0x9e3779b97f4a7c15ULL;
  std::uint64_t words[2] = {0, 0};
  for (; bytes >= 16; at += 16, bytes -= 16) {
    std::memcpy(words, at, 16);
    hash = fold(words[0] ^ seed.first, words[1] ^ seed.second ^ hash);
  }
  if (bytes != 0) {
    words[0] = words[1] = 0;
    std::memcpy(words, at, bytes);
    hash = fold(words[0] ^ seed.first, words[1] ^ seed.second ^ hash);
  }
  return fold(hash ^ seed.first, seed.second);
}

// Twice the folded multiply of foldhash (O. Peters): once leaves numbers of one step in a pattern.
constexpr std::uint64_t hash_number(std::uint64_t number, const HashSeed& seed) noexcept {
  return fold(fold(number ^ seed.first, seed.second) ^ seed.first, seed.second);
}

}  // namespace sluice::detail
