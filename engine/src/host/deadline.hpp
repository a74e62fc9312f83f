// SPDX-License-Identifier: Apache-2.0
// Until when a call of the host waits that says how long.
#pragma once

#include <algorithm>
#include <chrono>

#include <sluice/detail/clock.hpp>

namespace sluice::detail {

// `limit` from now on; now, if that was in the past already, and the end of all time, if it is beyond.
inline std::chrono::nanoseconds deadline_after(std::chrono::nanoseconds limit) noexcept {
  const auto now = monotonic_now();
  return now + std::clamp(limit, std::chrono::nanoseconds{0}, std::chrono::nanoseconds::max() - now);
}

}  // namespace sluice::detail
