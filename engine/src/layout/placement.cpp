// SPDX-License-Identifier: Apache-2.0
#include "layout/placement.hpp"

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::detail {
namespace {

const pinning::Place& place_of(const Placement& placement, ProcessIndex process) {
  if (process == kHostProcess) return placement.plan.host;
  if (process == kMasterProcess) return placement.plan.master;
  return placement.workers[worker_of(process)];
}

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

}  // namespace

Placement place(const Graph& graph, const Layout& layout, pinning::Policy policy) {
  pinning::PlanRequest request = request_of(graph, layout);
  request.policy = policy;
  Placement placement{pinning::plan(pinning::read_topology(), request), {}};
  for (const pinning::StagePlan& stage : placement.plan.stages) {
    for (const pinning::Place& place : stage.workers)
      placement.workers.push_back(place);
  }
  return placement;
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
