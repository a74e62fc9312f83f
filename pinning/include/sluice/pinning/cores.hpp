// SPDX-License-Identifier: Apache-2.0
// As many workers as there are cores for: what a stage gets that asks for `cores` instead of a number.
#pragma once

#include <sluice/pinning/request.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

// The request with a number of workers for each stage that asks for kCores; without such a stage, as it is. Pure.
//
// To share out are the cores that the plan may use (a core counts once, whatever its SMT siblings), bounded by the
// CPU quota, less those of the stages that have a number, and less one for the host where it pushes or pulls or nothing
// else would be left for it. A stage that has a place takes cores in there alone. Every stage gets one worker, also where
// there is no core for it; of what is left, each core goes to the stage whose workers have most to do: by the events that
// reach the stage where an earlier run has measured that for all of these stages, else evenly, earlier stages first.
//
// Throws sluice::Error as plan() does for what it cannot place.
PlanRequest with_cores(const Topology& topology, PlanRequest request);

}  // namespace sluice::pinning
