// SPDX-License-Identifier: Apache-2.0
// A handler's careless function as an attacker meets it: compiled with a stack canary, and its buffer is too short.
#pragma once

#include <cstdint>

namespace sluice::test {

// The stack canary of the calling thread; 0 on a processor for which nobody renews it.
std::uint64_t canary_now() noexcept;

// A function with a buffer is called, which is written beyond, over the canary: with this guess of it. Returns if the guess is
// right, and aborts if it is not.
void overflow_with(std::uint64_t guess) noexcept;

}  // namespace sluice::test
