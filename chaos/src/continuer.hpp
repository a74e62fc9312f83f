// SPDX-License-Identifier: Apache-2.0
// The process that continues a process which chaos has stopped, even if the program that stopped it has died
// since.
#pragma once

#include <chrono>

namespace sluice::detail {

// In a process that was just forked, perhaps from one with threads: does only what is safe there. Continues
// the process behind `pidfd` after `pause`, and ends.
[[noreturn]] void continue_after(int pidfd, std::chrono::nanoseconds pause) noexcept;

}  // namespace sluice::detail
