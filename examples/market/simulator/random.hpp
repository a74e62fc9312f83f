// SPDX-License-Identifier: Apache-2.0
// The simulator's source of chance. The standard distributions may differ between libraries, so that a seed
// would not name a capture; these few integer functions do not. The generator is SplitMix64 (Steele, Lea and
// Flood, "Fast splittable pseudorandom number generators", 2014).
#pragma once

#include <cstdint>

namespace simulator {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed} {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31U);
  }

  // From 0 to bound - 1. The bias of the remainder is below 2^-32 for the small bounds used here.
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(bound));
  }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + below(high - low + 1);
  }  // Inclusive.
  bool one_in(std::int64_t odds) { return below(odds) == 0; }
  bool percent(std::int64_t share) { return below(100) < share; }

 private:
  std::uint64_t state_;
};

}  // namespace simulator
