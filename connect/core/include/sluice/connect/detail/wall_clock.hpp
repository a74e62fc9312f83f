// SPDX-License-Identifier: Apache-2.0
// The time of day, as sources that keep it in their events and their state count it.
#pragma once

#include <chrono>
#include <cstdint>

namespace sluice::detail {

// Nanoseconds since 1970.
inline std::int64_t wall_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace sluice::detail
