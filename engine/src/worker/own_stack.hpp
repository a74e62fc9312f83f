// SPDX-License-Identifier: Apache-2.0
// What a worker does not have in common with its predecessors although all are forks of one process: its stack canary, and,
// where its input is hostile, the place at which its stack begins. Who has learned them from one life knows nothing of the next.
//
// Called by a process that is going to be a worker, before it runs user code. Addresses of code, data and heap stay those of the
// master: docs/decisions/0089.
#pragma once

#include <cstddef>

namespace sluice::detail {

// From now on the functions that this process enters have a canary that was drawn for it, and so have those of its threads. What
// was entered before must not return: it would find another canary than it has left, and abort. On processors for which the C
// library keeps the canary where nobody writes, all but x86-64, nothing happens.
void renew_canary() noexcept;

// How much further down than its predecessor a worker begins: drawn anew at each call, a multiple of 16, less than an eighth of what
// the stack may grow to and than 1 MiB.
std::size_t draw_stack_offset() noexcept;

// Calls `run`, which never returns, `bytes` further down the stack. What lies between is not touched.
template <class Run>
[[noreturn]] __attribute__((noinline)) void run_further_down(std::size_t bytes, const Run& run) noexcept {
  void* const between = __builtin_alloca(bytes);
  asm volatile("" : : "r"(between) : "memory");  // Nobody uses it: it is kept all the same.
  run();
  __builtin_unreachable();
}

}  // namespace sluice::detail
