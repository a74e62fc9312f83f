// The process of one worker: from the fork to its end.
#pragma once

#include <cstddef>

#include <sluice/pinning/place.hpp>

#include "worker/patience.hpp"
#include "worker/worker_loop.hpp"

namespace sluice {

// Runs worker `process` in the process that the master has just forked, to its end. noexcept: an exception
// must not get back into a second copy of the master.
[[noreturn]] void run_worker(const Wiring& wiring, const pinning::Place& place, std::size_t process) noexcept;

// Writes down, in the region of `process`, that a new incarnation has it; what stood there is not trusted.
ipc::Life& begin_life(ipc::Control& control, std::size_t process);

}  // namespace sluice
