// SPDX-License-Identifier: Apache-2.0
// The far fence: one process pays for a full fence in every other one, so that those need none of their own.
//
// Linux has it as membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED). It takes 0.4 us when no other processor runs a
// process that takes part, and about 10 us when one has to be interrupted: for the rare side of a handshake.
// Any thread may call these; neither blocks.
//
// Who takes part. A fence reaches every process that has joined, and a process may leave its own fences out
// only if the fences of all its neighbours reach it: so all processes of a pipeline must have joined, or
// none. They do so because the first segment that a process makes, before it has neighbours, joins; what the
// process forks later, and so every process of its pipelines, inherits both the kernel's registration and
// far_fences(). Threads that are there already are covered when join_far_fences() returns, and none of them
// has a neighbour before. An observer only reads: it sleeps on nothing and wakes no process.
#pragma once

#include <atomic>

namespace sluice::ipc {

namespace detail {

inline std::atomic<bool> far_fences_reach_us{false};

}  // namespace detail

// Takes part from now on, and so does what is forked later. Called by the constructor of each segment that is
// not an observer's; the first call in a process decides, for it and all that descend from it. Where the
// kernel, or a filter of system calls, does not offer it, far_fences() stays false in every process of the
// pipeline: then each side fences for itself.
void join_far_fences() noexcept;

inline bool far_fences() noexcept {
  // relaxed: stored before this process had a neighbour, in this thread or before a fork.
  return detail::far_fences_reach_us.load(std::memory_order_relaxed);
}

// As if every thread of every process that takes part passed a full fence between the call and the return.
// False if a filter of system calls, set later, has forbidden it: nothing is known then.
bool far_fence() noexcept;

}  // namespace sluice::ipc
