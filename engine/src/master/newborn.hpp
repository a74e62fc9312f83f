// SPDX-License-Identifier: Apache-2.0
// The first moments of a process that the master has forked: whom it dies with, and from when on it may touch
// its region.
//
//     master                            newborn
//     forks                             dies with the master (PR_SET_PDEATHSIG); binds itself to the lifeline
//     entry.identity, then entry.pid    waits until entry.pid is its own
//                                       no longer dies with the master
//                                       takes its region
//
// A master that dies before it has stored the pid takes the newborn along, which has touched nothing: the
// next master finds no pid, and forks another. One that dies after it leaves a worker that the next master
// finds by its pid. So a region never has two owners, even if no process knows of the newborn when it dies.
#pragma once

#include <sys/types.h>

#include "layout/control_plane.hpp"
#include "master/lifeline.hpp"

namespace sluice::detail {

// Right after the fork. Ends the process when `master`, its parent, is gone already. False when the kernel
// would not bind it to the lifeline: then it goes on to die with its master for good.
bool begin_newborn(Lifeline& lifeline, pid_t master) noexcept;

// Waits until this process stands in its entry, and outlives its master from then on if it is `bound` to the
// lifeline. Ends the process when it is not registered in time.
void await_registration(const WorkerEntry& entry, bool bound) noexcept;

}  // namespace sluice::detail
