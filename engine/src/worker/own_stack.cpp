// SPDX-License-Identifier: Apache-2.0
#include "worker/own_stack.hpp"

#include <algorithm>
#include <cstdint>
#include <random>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/types.h>

namespace sluice::detail {
namespace {

std::uint64_t draw() {
  std::uint64_t drawn = 0;
  if (::getrandom(&drawn, sizeof(drawn), GRND_NONBLOCK) == ssize_t{sizeof(drawn)}) return drawn;
  // A filter of calls refuses it. The processor's own instruction takes microseconds each time.
  std::random_device random;
  return std::uint64_t{random()} << 32U | random();
}

}  // namespace

#if defined(__x86_64__) && defined(__LP64__)

__attribute__((noinline, no_stack_protector)) void renew_canary() noexcept {
  // As the C library's, it begins with a zero, which ends a string that is copied over it.
  const std::uint64_t canary = draw() & ~std::uint64_t{0xff};
  // Where compilers look for it. Source: the x86-64 ABI, appendix on thread-local storage; glibc's tls.h, header.stack_guard.
  asm volatile("mov %0, %%fs:0x28" : : "r"(canary) : "memory");
}

#else

void renew_canary() noexcept {}

#endif

std::size_t draw_stack_offset() noexcept {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 20U;
  constexpr std::uint64_t kAlignment = 16;
  constexpr std::uint64_t kPart = 8;  // The rest is the handler's.
  rlimit stack{};
  if (::getrlimit(RLIMIT_STACK, &stack) != 0) return 0;
  const std::uint64_t room = std::min<std::uint64_t>(stack.rlim_cur / kPart, kMost) / kAlignment;
  return room == 0 ? 0 : draw() % room * kAlignment;
}

}  // namespace sluice::detail
