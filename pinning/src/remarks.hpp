// SPDX-License-Identifier: Apache-2.0
// What a person should know about a plan, in sentences.
#pragma once

#include <cstddef>

#include <sluice/pinning/plan.hpp>

#include "order.hpp"

namespace sluice::pinning {

// More workers than units, or a quota below what they can keep busy.
void remark_load(Plan& result, const Topology& topology, const Units& usable, std::size_t workers);

// SMT siblings and slower cores among the units that workers have of their own.
void remark_units(Plan& result, const Units& usable, const Units& taken);

// Nodes that have no memory, or none that is allowed.
void remark_memory(Plan& result, const Topology& topology, const Units& usable);

// Costs that were measured and say nothing.
void remark_costs(Plan& result, const MeasuredCosts& costs);

// Workers of several units that share neither cache nor node nor package.
void remark_threads(Plan& result, const PlanRequest& request, const Topology& topology);
void remark_wide_workers(Plan& result, const PlanRequest& request, const Topology& topology);

}  // namespace sluice::pinning
