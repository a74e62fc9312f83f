// SPDX-License-Identifier: Apache-2.0
// The end of a child that its parent waits for next.
#pragma once

#include <sys/types.h>

namespace sluice::detail {

// Kills a child of this process that is not reaped yet, so that the pid is its own. By a pidfd where a filter of system
// calls denies kill(): who waits for the child then would wait for ever.
void kill_child(pid_t child) noexcept;

}  // namespace sluice::detail
