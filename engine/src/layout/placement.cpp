// SPDX-License-Identifier: Apache-2.0
#include "layout/placement.hpp"

#include <set>
#include <utility>

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/calibration.hpp>
#include <sluice/pinning/claims.hpp>
#include <sluice/pinning/location.hpp>
#include <sluice/pinning/masks.hpp>

#include "layout/worker_counts.hpp"

namespace sluice::detail {
namespace {

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

Placement placed(pinning::Topology topology, pinning::PlanRequest request, std::vector<std::size_t> takers) {
  Placement placement{std::move(topology), std::move(request), std::move(takers), {}, {}, {}};
  placement.plan = pinning::plan(placement.topology, placement.request);
  remark_costs(placement);
  remark_narrow_mask(placement);
  for (std::string& remark : remarks_on_counts(placement.topology, placement.request, placement.takers))
    placement.plan.remarks.push_back(std::move(remark));
  for (const pinning::StagePlan& stage : placement.plan.stages) {
    for (const pinning::Place& place : stage.workers)
      placement.workers.push_back(place);
  }
  return placement;
}

bool pins(pinning::Policy policy) {
  return policy != pinning::Policy::none && policy != pinning::Policy::floating;
}

// A place as far as it is left, or none: a stage whose units are all gone has to be somewhere.
std::string place_left(const pinning::Topology& before, const pinning::CpuSet& allowed,
                       const pinning::CpuSet& reserved, const std::string& place) {
  const pinning::Location location = pinning::parse_place(before, place);
  pinning::CpuSet left;
  for (const pinning::CpuSet& set : location.sets) {
    const pinning::CpuSet here = set & allowed;
    if (!location.whole || !here.intersects(reserved)) left |= here - reserved;
  }
  if (left.empty()) return {};
  return location.whole ? place : left.to_string();
}

void fit_places(const pinning::Topology& before, const pinning::CpuSet& allowed,
                pinning::PlanRequest& request) {
  // Then the kernel has nothing else to run them on.
  if (request.reserved.includes(allowed)) request.reserved = {};
  for (pinning::StageRequest& stage : request.stages) {
    if (!stage.place.empty()) stage.place = place_left(before, allowed, request.reserved, stage.place);
  }
}

}  // namespace

const pinning::Place& place_of(const Placement& placement, ProcessIndex process) {
  if (process == kHostProcess) return placement.plan.host;
  if (process == kMasterProcess) return placement.plan.master;
  return placement.workers[worker_of(process)];
}

pinning::PlanRequest request_of(const Graph& graph, const Layout& layout, const PipelineSettings& settings) {
  pinning::PlanRequest request = request_of(graph, settings);
  std::size_t worker = 0;
  for (pinning::StageRequest& stage : request.stages) {
    stage.region_bytes = layout.worker(WorkerIndex{worker}).plain_bytes;
    worker += stage.workers;
  }
  for (const LaneLayout& lane : layout.lanes)
    request.flows[lane.edge.value()].lane_bytes = lane.capacity_bytes;
  return request;
}

Placement place(const Graph& graph, const Layout& layout, const PipelineSettings& settings) {
  pinning::PlanRequest request = request_of(graph, layout, settings);
  pinning::Topology topology = pinning::read_topology();
  // What a process may run on everywhere has no distances.
  if (pins(request.policy)) request.costs = pinning::kept_costs(topology);
  return placed(std::move(topology), std::move(request), takers_of_cores(settings));
}

Placement placed_beside(Placement placement, std::vector<pinning::Claim> claims,
                        std::optional<pinning::CpuSet> host) {
  if (claims.empty() && !host) return placement;
  placement.request.claims = std::move(claims);
  placement.request.host = std::move(host);
  return placed(std::move(placement.topology), std::move(placement.request), std::move(placement.takers));
}

pinning::CpuSet claimed_units(const Placement& placement,
                              const Indexed<WorkerIndex, pinning::Place>& workers) {
  pinning::CpuSet units = placement.request.host.value_or(pinning::CpuSet{});
  std::size_t worker = 0;
  for (const pinning::StageRequest& stage : placement.request.stages) {
    const bool bound = pins(placement.request.policy) || !stage.place.empty();
    for (unsigned replica = 0; replica < stage.workers; ++replica, ++worker) {
      if (bound) units |= workers[WorkerIndex{worker}].units;
    }
  }
  return units;
}

bool host_has_one_core(const Placement& placement) {
  const pinning::Place& host = placement.plan.host;
  std::set<int> cores;
  for (const pinning::ProcessingUnit& unit : placement.topology.units) {
    if (host.units.contains(unit.os_index)) cores.insert(unit.core);
  }
  return !host.shared && cores.size() == 1;
}

Placement placed_anew(const Placement& placement, const pinning::CpuSet& grantable) {
  pinning::Topology topology = placement.topology;
  pinning::CpuSet units = topology.allowed() & grantable;
  if (units.empty()) units = grantable;
  for (pinning::ProcessingUnit& unit : topology.units)
    unit.allowed = units.contains(unit.os_index);
  pinning::PlanRequest request = placement.request;
  fit_places(placement.topology, topology.allowed(), request);
  if (!placement.claim_mark.empty()) request.claims = pinning::claims_of_others(placement.claim_mark);
  return placed(std::move(topology), std::move(request), placement.takers);
}

pinning::Report bind_segment(const Layout& layout, const ipc::Segment& segment, const Placement& placement) {
  pinning::Report report;
  const auto bind = [&report](std::string name, std::span<const std::byte> memory, int node) {
    if (node < 0) return;
    report.memory.push_back({std::move(name), node, pinning::bind_memory(memory, node), {}});
  };
  for (const ProcessIndex p : layout.processes.indices()) {
    bind("region of " + layout.processes[p].name, segment.plain_memory(p.value()),
         place_of(placement, p).numa_node);
  }
  for (const LaneLayout& lane : layout.lanes) {
    bind("lane " + layout.processes[lane.producer].name + " to " + layout.processes[lane.consumer].name,
         segment.ring_memory(lane.producer.value(), lane.ring), place_of(placement, lane.consumer).numa_node);
  }
  return report;
}

}  // namespace sluice::detail
