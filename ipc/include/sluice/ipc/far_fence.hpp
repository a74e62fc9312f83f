// SPDX-License-Identifier: Apache-2.0
// The far fence: one process pays for a full fence in every other one, so that those need none of their own.
//
// Linux has it as membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED). It takes 0.4 us when no other processor runs a
// process that takes part, and about 10 us when one has to be interrupted: for the rare side of a handshake.
// Any thread may call these; neither blocks.
#pragma once

namespace sluice::ipc {

// Takes part from now on, and so does what is forked later. False where the kernel, or a filter of system
// calls, does not offer it: then each side fences for itself.
bool join_far_fences() noexcept;
// Before main() and any thread, so that no fence can miss this process.
inline const bool kFarFencesReachUs = join_far_fences();
inline bool far_fences() noexcept {
  return kFarFencesReachUs;
}

// As if every thread of every process that takes part passed a full fence between the call and the return.
// False if a filter of system calls, set later, has forbidden it: nothing is known then.
bool far_fence() noexcept;

}  // namespace sluice::ipc
