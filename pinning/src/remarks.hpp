// SPDX-License-Identifier: Apache-2.0
// What a person should know about a plan, in sentences.
#pragma once

#include <cstddef>

#include <sluice/pinning/plan.hpp>

#include "order.hpp"

namespace sluice::pinning {

// More workers than units, or a quota below what they can keep busy.
void remark_load(Plan& result, const Topology& topology, const PlanRequest& request, const Units& usable);

// Of all workers: what they ask for, and what the quota leaves of it.
std::size_t threads_asked(const PlanRequest& request);
std::size_t threads_at_work(const PlanRequest& request, std::optional<double> quota_cores);

// SMT siblings and slower cores among the units that workers have of their own, and cores that they share with others.
void remark_units(Plan& result, const Units& usable, const Units& taken, const Units& of_others);

// Nodes that have no memory, or none that is allowed.
void remark_memory(Plan& result, const Topology& topology, const Units& usable);

// Costs that were measured and say nothing.
void remark_costs(Plan& result, const MeasuredCosts& costs);

// Workers of several units that share neither cache nor node nor package.
void remark_threads(Plan& result, const PlanRequest& request, const Topology& topology);
void remark_wide_workers(Plan& result, const PlanRequest& request, const Topology& topology);

}  // namespace sluice::pinning
