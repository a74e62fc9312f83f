// SPDX-License-Identifier: Apache-2.0
#include "worker/run_mark.hpp"

#include <chrono>
#include <random>

namespace sluice::detail {

RunMark new_run_mark() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  RunMark mark;
  mark.time_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  mark.number = static_cast<std::uint32_t>(std::random_device{}() | 1U);
  return mark;
}

}  // namespace sluice::detail
