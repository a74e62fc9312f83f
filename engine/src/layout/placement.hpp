// SPDX-License-Identifier: Apache-2.0
// Placement: the plan for a layout's processes, and the memory of its regions bound to it.
#pragma once

#include <string>

#include <sluice/detail/graph.hpp>
#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/report.hpp>

#include "layout/layout.hpp"

namespace sluice::detail {

struct Placement {
  pinning::Plan plan;
  Indexed<WorkerIndex, pinning::Place> workers;
};

// Throws Error when this process may run nowhere.
Placement place(const Graph& graph, const Layout& layout, pinning::Policy policy);

// Before the first touch: a region's plain part to its owner's node, a ring to its consumer's.
pinning::Report bind_segment(const Layout& layout, const ipc::Segment& segment, const Placement& placement);

}  // namespace sluice::detail
