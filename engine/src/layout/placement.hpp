// SPDX-License-Identifier: Apache-2.0
// Placement: the plan for a layout's processes, and the memory of its regions bound to it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sluice/detail/graph.hpp>
#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/report.hpp>
#include <sluice/pinning/topology.hpp>

#include "layout/layout.hpp"
#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// With what it was planned from, to plan anew.
struct Placement {
  pinning::Topology topology;
  pinning::PlanRequest request;
  std::vector<std::size_t> takers;  // Its stages that asked for as many workers as there are cores.
  pinning::Plan plan;
  Indexed<WorkerIndex, pinning::Place> workers;
  // Of this pipeline's claim: pinning/claims.hpp. Empty while it makes none.
  std::string claim_mark;
};

// The pipeline as the plan sees it, its memory included.
pinning::PlanRequest request_of(const Graph& graph, const Layout& layout, const PipelineSettings& settings);
// Throws Error when this process may run nowhere, and for a stage's place that this machine has not.
Placement place(const Graph& graph, const Layout& layout, const PipelineSettings& settings);
// The same pipeline beside what others claim, and with a host that is bound to those units already.
Placement placed_beside(Placement placement, std::vector<pinning::Claim> claims,
                        std::optional<pinning::CpuSet> host);
// What the workers are bound to that have these places; nothing for those that float. And what the host has bound itself to.
pinning::CpuSet claimed_units(const Placement& placement,
                              const Indexed<WorkerIndex, pinning::Place>& workers);
// The place that the plan has for the host is one core of its own: others are to keep off, since the host cannot go elsewhere.
bool host_has_one_core(const Placement& placement);
// As place(), on those units that `grantable` has of the ones that it was planned for; on all of `grantable` if
// it has none of them, and beside what others claim now. A stage's place is what is left of it, and anywhere if that
// is nothing. Throws Error when that leaves none.
Placement placed_anew(const Placement& placement, const pinning::CpuSet& grantable);
const pinning::Place& place_of(const Placement& placement, ProcessIndex process);

// Before the first touch: a region's plain part to its owner's node, a ring to its consumer's.
pinning::Report bind_segment(const Layout& layout, const ipc::Segment& segment, const Placement& placement);

}  // namespace sluice::detail
