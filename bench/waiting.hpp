// SPDX-License-Identifier: Apache-2.0
// A bound for every wait of a benchmark: a side whose other side has died or is broken must not wait for
// ever.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>

#include <sluice/ipc/waiting.hpp>

namespace sluice::bench {

inline constexpr std::chrono::seconds kGrace{10};

// Looks again and again until `ready` says so; throws std::runtime_error once it has waited for kGrace.
template <class Ready>
void wait_until(Ready&& ready) {
  constexpr std::uint32_t kLooksPerClock = 1 << 12;
  std::chrono::steady_clock::time_point give_up{};
  for (std::uint32_t looks = 1; !ready(); ++looks) {
    ipc::relax();
    if (looks % kLooksPerClock != 0) continue;
    const auto now = std::chrono::steady_clock::now();
    if (give_up == std::chrono::steady_clock::time_point{}) give_up = now + kGrace;
    if (now > give_up)
      throw std::runtime_error{"waited 10 s for the other side of a benchmark, which may have died"};
  }
}

}  // namespace sluice::bench
