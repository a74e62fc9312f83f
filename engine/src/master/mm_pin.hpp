// SPDX-License-Identifier: Apache-2.0
// The mm_pin: a process that shares all memory with a worker, and takes it down once the worker is dead.
//
// The kernel tells of a death only after the dying process has unmapped its memory, which takes longer the
// more pages it had touched: 0.1 ms for a small worker, tens of milliseconds for one with a large state. Not
// so if another process has the same memory mapped; then the worker is dead at once and known to be, and its
// replacement works while the mm_pin unmaps what is left. It has nothing else to do, and runs nothing but
// system calls: what the dead worker's region holds stays as it was.
#pragma once

namespace sluice::detail {

// Called by a process that is to become a worker, while it has one thread. The mm_pin dies with it. Where
// there is no process to be had it goes without, and is replaced later.
void start_mm_pin() noexcept;

}  // namespace sluice::detail
