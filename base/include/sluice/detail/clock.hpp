// SPDX-License-Identifier: Apache-2.0
// The one clock of a pipeline: CLOCK_MONOTONIC, which all processes of a machine share.
#pragma once

#include <chrono>

namespace sluice::detail {

// Since the machine started. Any process and thread; does not block.
std::chrono::nanoseconds monotonic_now() noexcept;
// The same as of the last tick of the kernel, 1 to 10 ms ago, at a fraction of the cost.
std::chrono::nanoseconds coarse_now() noexcept;

}  // namespace sluice::detail
