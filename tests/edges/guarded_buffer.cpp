// SPDX-License-Identifier: Apache-2.0
// Compiled with -fstack-protector-strong, which what is ours need not be.
#include "guarded_buffer.hpp"

#include <cstddef>

namespace sluice::test {

std::uint64_t canary_now() noexcept {
  std::uint64_t canary = 0;
#if defined(__x86_64__)
  asm volatile("mov %%fs:0x28, %0" : "=r"(canary));
#endif
  return canary;
}

// The canary stands somewhere above the buffer, which compilers lay out as they like. No sanitizer is to see it first.
__attribute__((noinline, no_sanitize("address", "undefined"))) void overflow_with(
    std::uint64_t guess) noexcept {
  constexpr std::size_t kMostWords = 64;
  alignas(std::uint64_t) volatile char buffer[32];
  buffer[0] = 0;
  const std::uint64_t canary = canary_now();
  const volatile char* first = buffer;
  asm volatile("" : "+r"(first) : : "memory");  // The compiler does not know any more where it points.
  auto* word = reinterpret_cast<volatile std::uint64_t*>(const_cast<volatile char*>(first));
  for (std::size_t i = 0; i < kMostWords; ++i, ++word) {
    if (*word != canary) continue;
    *word = guess;
    return;
  }
}

}  // namespace sluice::test
