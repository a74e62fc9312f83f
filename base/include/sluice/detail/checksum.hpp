// SPDX-License-Identifier: Apache-2.0
// The checksum of checkpoints and of copies of them: XXH64 (Y. Collet, doc/xxhash_spec.md), which zstd uses for its frames but
// does not give out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::detail {

// Several GB/s. With the checksum of what stands before as the seed, order and completeness are covered too.
std::uint64_t checksum_of(std::span<const std::byte> bytes, std::uint64_t seed) noexcept;

}  // namespace sluice::detail
