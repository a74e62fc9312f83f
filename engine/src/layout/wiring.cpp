#include "layout/wiring.hpp"

namespace sluice {

std::chrono::nanoseconds monotonic_now() noexcept {
  // On Linux, steady_clock is CLOCK_MONOTONIC: one clock for all processes.
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace sluice
