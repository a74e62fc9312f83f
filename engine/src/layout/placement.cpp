// SPDX-License-Identifier: Apache-2.0
#include "layout/placement.hpp"

#include <utility>

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/calibration.hpp>
#include <sluice/pinning/claims.hpp>
#include <sluice/pinning/masks.hpp>

namespace sluice::detail {
namespace {

pinning::Traffic traffic_of(const Route& route) {
  return route.kind == RouteKind::broadcast ? pinning::Traffic::broadcast : pinning::Traffic::routed;
}

// The pipeline as the plan sees it: stages are the nodes that have workers, everything else is the host's.
pinning::PlanRequest request_of(const Graph& graph, const Layout& layout) {
  pinning::PlanRequest request;
  Indexed<NodeIndex, std::size_t> stage_of;
  for (const NodeIndex n : graph.nodes.indices()) {
    const unsigned workers = layout.replicas_of(n);
    stage_of.push_back(workers == 0 ? pinning::kHost : request.stages.size());
    if (workers != 0) request.stages.push_back({.name = graph.nodes[n].name, .workers = workers});
  }
  for (const WorkerIndex worker : layout.workers())
    request.stages[stage_of[layout.worker(worker).node]].region_bytes = layout.worker(worker).plain_bytes;
  for (const EdgeIndex e : graph.edges.indices()) {
    const Edge& edge = graph.edges[e];
    request.flows.push_back(
        {.from = stage_of[edge.from], .to = stage_of[edge.to], .traffic = traffic_of(edge.route)});
  }
  for (const LaneLayout& lane : layout.lanes)
    request.flows[lane.edge.value()].lane_bytes = lane.capacity_bytes;
  return request;
}

// Of costs that are not steady the plan itself says so.
void remark_costs(Placement& placement) {
  const pinning::MeasuredCosts& costs = placement.request.costs;
  if (!costs.empty() && costs.steady)
    placement.plan.remarks.emplace_back("the way between units is as `sluice calibrate` has measured it");
}

// Whether a process is confined by its mask or by its cpuset only the user knows.
void remark_narrow_mask(Placement& placement) {
  const pinning::CpuSet allowed = placement.topology.allowed();
  pinning::Mask units{};
  if (!placement.plan.oversubscribed || pinning::read_grantable(units) != 0) return;
  const pinning::CpuSet grantable = pinning::set_of(units);
  if (!grantable.includes(allowed) || grantable == allowed) return;
  placement.plan.remarks.push_back(
      "this process is bound to " + allowed.to_string() + " of " + grantable.to_string() +
      ", and its workers with it; a host that binds itself, and not them, does so once "
      "its Engine is made");
}

Placement placed(pinning::Topology topology, pinning::PlanRequest request) {
  Placement placement{std::move(topology), std::move(request), {}, {}, {}};
  placement.plan = pinning::plan(placement.topology, placement.request);
  remark_costs(placement);
  remark_narrow_mask(placement);
  for (const pinning::StagePlan& stage : placement.plan.stages) {
    for (const pinning::Place& place : stage.workers)
      placement.workers.push_back(place);
  }
  return placement;
}

bool binds(const Placement& placement) {
  return placement.request.policy != pinning::Policy::none &&
         placement.request.policy != pinning::Policy::floating;
}

}  // namespace

const pinning::Place& place_of(const Placement& placement, ProcessIndex process) {
  if (process == kHostProcess) return placement.plan.host;
  if (process == kMasterProcess) return placement.plan.master;
  return placement.workers[worker_of(process)];
}

Placement place(const Graph& graph, const Layout& layout, pinning::Policy policy) {
  pinning::PlanRequest request = request_of(graph, layout);
  request.policy = policy;
  pinning::Topology topology = pinning::read_topology();
  // What a process may run on everywhere has no distances.
  if (policy != pinning::Policy::none && policy != pinning::Policy::floating)
    request.costs = pinning::kept_costs(topology);
  return placed(std::move(topology), std::move(request));
}

Placement placed_beside(Placement placement, std::vector<pinning::Claim> claims,
                        std::optional<pinning::CpuSet> host) {
  if (claims.empty() && !host) return placement;
  placement.request.claims = std::move(claims);
  placement.request.host = std::move(host);
  return placed(std::move(placement.topology), std::move(placement.request));
}

pinning::CpuSet claimed_units(const Placement& placement) {
  pinning::CpuSet units;
  if (!binds(placement)) return units;
  for (const pinning::Place& place : placement.workers)
    units |= place.units;
  return units;
}

Placement placed_anew(const Placement& placement, const pinning::CpuSet& grantable) {
  pinning::Topology topology = placement.topology;
  pinning::CpuSet units = topology.allowed() & grantable;
  if (units.empty()) units = grantable;
  for (pinning::ProcessingUnit& unit : topology.units)
    unit.allowed = units.contains(unit.os_index);
  pinning::PlanRequest request = placement.request;
  if (!placement.claim_mark.empty()) request.claims = pinning::claims_of_others(placement.claim_mark);
  return placed(std::move(topology), std::move(request));
}

pinning::Report bind_segment(const Layout& layout, const ipc::Segment& segment, const Placement& placement) {
  pinning::Report report;
  const auto bind = [&report](std::string name, std::span<const std::byte> memory, int node) {
    if (node < 0) return;
    report.memory.push_back({std::move(name), node, pinning::bind_memory(memory, node), {}});
  };
  for (const ProcessIndex p : layout.processes.indices()) {
    bind("region of " + layout.processes[p].name, segment.plain(p.value()), place_of(placement, p).numa_node);
  }
  for (const LaneLayout& lane : layout.lanes) {
    const ipc::RingView ring = segment.ring(lane.producer.value(), lane.ring);
    bind("lane " + layout.processes[lane.producer].name + " to " + layout.processes[lane.consumer].name,
         {ring.data, ring.capacity_bytes}, place_of(placement, lane.consumer).numa_node);
  }
  return report;
}

}  // namespace sluice::detail
