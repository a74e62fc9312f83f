// SPDX-License-Identifier: Apache-2.0
// What a plan costs: its lanes, the distance of their ends, and the memory that they take on each node.
#pragma once

#include <vector>

#include <sluice/pinning/distance.hpp>
#include <sluice/pinning/plan.hpp>

#include "lanes.hpp"

namespace sluice::pinning {

// Adds the lanes, what they cost and where their memory is.
void price(Plan& result, const PlanRequest& request, const std::vector<Flow>& flows,
           const std::vector<RequestedLane>& lanes, const Distances& distances);

}  // namespace sluice::pinning
