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

}  // namespace

Placement place(const Graph& graph, const Layout& layout, pinning::Policy policy) {
  pinning::PlanRequest request;
  request.policy = policy;
  for (const WorkerIndex worker : layout.workers()) {
    const std::string& stage = graph.nodes[layout.worker(worker).node].name;
    if (request.stages.empty() || request.stages.back().name != stage) request.stages.push_back({stage, 0});
    ++request.stages.back().workers;
  }
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
