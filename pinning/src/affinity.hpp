// SPDX-License-Identifier: Apache-2.0
// The one place that asks the kernel for an affinity mask, however many units the machine has.
#pragma once

#include <sys/types.h>

#include <sluice/pinning/cpu_set.hpp>

namespace sluice::pinning {

// The units that process `pid` (0: the calling thread) may run on. Throws sluice::Error.
CpuSet affinity_of(pid_t pid);

}  // namespace sluice::pinning
