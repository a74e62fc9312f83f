// SPDX-License-Identifier: Apache-2.0
// The one clock of a pipeline: CLOCK_MONOTONIC, which all processes of a machine share.
#pragma once

#include <chrono>

namespace sluice::detail {

// Since the machine started. Any process and thread; does not block.
std::chrono::nanoseconds monotonic_now() noexcept;

}  // namespace sluice::detail
