// SPDX-License-Identifier: Apache-2.0
#include <sluice/detail/clock.hpp>

namespace sluice::detail {

std::chrono::nanoseconds monotonic_now() noexcept {
  // On Linux, steady_clock is CLOCK_MONOTONIC.
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace sluice::detail
