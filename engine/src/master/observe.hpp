// SPDX-License-Identifier: Apache-2.0
// What the watchdog looks at: a worker's own words and the kernel's account of it. Used by the master.
#pragma once

#include <cstddef>
#include <sys/types.h>

#include "layout/wiring.hpp"
#include "master/watchdog.hpp"

namespace sluice::detail {

// `pid` is the living process that is `worker` now. The kernel is asked only if `watch` makes its
// standing still suspicious.
Observation observe(const Wiring& wiring, WorkerIndex worker, pid_t pid, const Watch& watch) noexcept;

}  // namespace sluice::detail
