// SPDX-License-Identifier: Apache-2.0
#include <ctime>

#include <sluice/detail/clock.hpp>

namespace sluice::detail {

std::chrono::nanoseconds monotonic_now() noexcept {
  // On Linux, steady_clock is CLOCK_MONOTONIC.
  return std::chrono::steady_clock::now().time_since_epoch();
}

std::chrono::nanoseconds coarse_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

}  // namespace sluice::detail
