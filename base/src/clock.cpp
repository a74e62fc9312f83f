// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
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

std::string utc_text(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(time - seconds);
  const std::time_t whole = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  char text[64];
  const std::size_t length = std::strftime(text, sizeof(text), "%FT%T", &parts);
  std::snprintf(text + length, sizeof(text) - length, ".%06dZ", static_cast<int>(rest.count()));
  return text;
}

}  // namespace sluice::detail
