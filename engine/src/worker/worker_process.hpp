// SPDX-License-Identifier: Apache-2.0
// The process of one worker: from the fork to its end.
#pragma once

#include <cstddef>

#include <sluice/pinning/place.hpp>

#include "ports/waiter.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

// What every worker does first, whichever it is going to be: a standby has done it before it is needed. From
// here on this process writes no region until it has one of its own.
void prepare_worker(const Wiring& wiring);

// A process that is executed takes its region before: it has one life, which begins with its fork.
enum class Region : bool { to_be_taken, taken };

// Runs `worker` in a process that has done prepare_worker(), to its end. noexcept: an exception
// must not get back into a second copy of the master.
[[noreturn]] void run_worker(const Wiring& wiring, const pinning::Place& place, WorkerIndex worker,
                             Region region = Region::to_be_taken) noexcept;

// What a worker does with its region before anything else: from now on it is this process's, and what its predecessor left
// there that must not be taken for its own is gone. run_worker() does it for a region that is to be taken.
void take_region(const Wiring& wiring, WorkerIndex worker);

// The last words of a process that ends, for its master.
void leave_message(ipc::Control& control, ipc::Activity activity, const char* text) noexcept;

// Writes down, in the region of `process`, that a new incarnation has it; what stood there is not trusted.
ipc::Life& begin_life(ipc::Control& control, ProcessIndex process);

}  // namespace sluice::detail
