// SPDX-License-Identifier: Apache-2.0
// In which order processing units are handed to workers: the part of the plan that knows about neighbours.
#pragma once

#include <cstddef>
#include <vector>

#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

using Units = std::vector<ProcessingUnit>;

// The `count` units for workers 0, 1, ... in this order; `usable` has at least as many. Whole cores come
// before SMT siblings, those of who is on a `held` unit too, faster kinds before slower ones, and within a kind the policy
// decides.
Units units_for_workers(const Units& usable, const Units& held, Policy policy, std::size_t count);

// Units of equal worth, the best first: in the order of the above.
std::vector<Units> tiers(const Units& usable, const Units& held);

// Whether two units share everything that a topology knows: package, node and L3 cache.
bool same_domain(const ProcessingUnit& left, const ProcessingUnit& right);

}  // namespace sluice::pinning
