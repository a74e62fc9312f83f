// SPDX-License-Identifier: Apache-2.0
// Processes of the pipeline that fall to the host when the process that would have reaped them is dead: to a host that is
// process 1, in a container for instance, or a child subreaper.
//
// Used by Engine. The host's own children are the host's to wait for, and are left alone: reaped is only what is known to
// be a process of a pipeline.
#pragma once

#include <chrono>
#include <sys/types.h>

#include "layout/wiring.hpp"

namespace sluice::detail {

// Whether processes fall to this one: it is the first of its PID namespace, or has asked for it (PR_SET_CHILD_SUBREAPER).
bool inherits_orphans() noexcept;

// Reaps what of `wiring`'s pipeline has fallen to this process and is dead. Never waits. A process is known by what the
// master has written down of it; those that no master writes down, and former ones, by the name of a process of this
// pipeline. `own_child`: the supervisor that this process has forked, whose status is waited for elsewhere; 0 for none.
// True while some that have fallen to it live.
bool reap_orphans(const Wiring& wiring, pid_t own_child);

// The pipeline is over: the same, until none is left, not longer than `limit`.
void reap_last_orphans(const Wiring& wiring, std::chrono::milliseconds limit);

}  // namespace sluice::detail
