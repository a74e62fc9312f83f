// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <bit>
#include <cstring>

#include <sluice/detail/checksum.hpp>

namespace sluice::detail {
namespace {

// Source of the numbers and steps: the specification of XXH64.
constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87ULL;
constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4FULL;
constexpr std::uint64_t kPrime3 = 0x165667B19E3779F9ULL;
constexpr std::uint64_t kPrime4 = 0x85EBCA77C2B2AE63ULL;
constexpr std::uint64_t kPrime5 = 0x27D4EB2F165667C5ULL;

template <class Word>
Word take(const std::byte*& at) noexcept {
  Word word{};
  std::memcpy(&word, at, sizeof(word));
  at += sizeof(word);
  return word;
}

std::uint64_t round(std::uint64_t sum, std::uint64_t word) noexcept {
  return std::rotl(sum + word * kPrime2, 31) * kPrime1;
}

}  // namespace

std::uint64_t checksum_of(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  static_assert(std::endian::native == std::endian::little, "the format is that of these machines");
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t sum = seed + kPrime5;
  if (left >= 32) {
    std::array<std::uint64_t, 4> sums{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
    for (; left >= 32; left -= 32) {
      for (std::uint64_t& each : sums)
        each = round(each, take<std::uint64_t>(at));
    }
    sum = std::rotl(sums[0], 1) + std::rotl(sums[1], 7) + std::rotl(sums[2], 12) + std::rotl(sums[3], 18);
    for (const std::uint64_t each : sums)
      sum = (sum ^ round(0, each)) * kPrime1 + kPrime4;
  }
  sum += bytes.size();
  for (; left >= 8; left -= 8)
    sum = std::rotl(sum ^ round(0, take<std::uint64_t>(at)), 27) * kPrime1 + kPrime4;
  for (; left >= 4; left -= 4)
    sum = std::rotl(sum ^ (take<std::uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
  for (; left != 0; --left)
    sum = std::rotl(sum ^ (take<std::uint8_t>(at) * kPrime5), 11) * kPrime1;
  sum = (sum ^ (sum >> 33)) * kPrime2;
  sum = (sum ^ (sum >> 29)) * kPrime3;
  return sum ^ (sum >> 32);
}

}  // namespace sluice::detail
