// SPDX-License-Identifier: Apache-2.0
#include "layout/placement.hpp"

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::detail {
namespace {

const pinning::Place& place_of(const Placement& placement, std::size_t process) {
  if (process == kHostProcess) return placement.plan.host;
  if (process == kMasterProcess) return placement.plan.master;
  return placement.workers[process - kFirstWorker];
}

}  // namespace

Placement place(const Graph& graph, const Layout& layout, const Settings& settings) {
  pinning::PlanRequest request;
  request.policy = pinning::parse_policy(settings.choice("placement.policy"));
  for (std::size_t p = kFirstWorker; p < layout.processes.size(); ++p) {
    const std::string& stage = graph.nodes[layout.processes[p].node].name;
    if (request.stages.empty() || request.stages.back().name != stage) request.stages.push_back({stage, 0});
    ++request.stages.back().workers;
  }
  Placement placement{pinning::plan(pinning::read_topology(), request), {}};
  for (const pinning::StagePlan& stage : placement.plan.stages) {
    placement.workers.insert(placement.workers.end(), stage.workers.begin(), stage.workers.end());
  }
  return placement;
}

pinning::Report bind_segment(const Layout& layout, const ipc::Segment& segment, const Placement& placement) {
  pinning::Report report;
  const auto bind = [&report](std::string name, std::span<const std::byte> memory, int node) {
    if (node < 0) return;
    report.memory.push_back({std::move(name), node, pinning::bind_memory(memory, node), {}});
  };
  for (std::size_t p = 0; p < layout.processes.size(); ++p) {
    bind("region of " + layout.processes[p].name, segment.plain(p), place_of(placement, p).numa_node);
  }
  for (const LaneLayout& lane : layout.lanes) {
    const ipc::RingView ring = segment.ring(lane.producer, lane.ring);
    bind("lane " + layout.processes[lane.producer].name + " to " + layout.processes[lane.consumer].name,
         {ring.data, ring.capacity_bytes}, place_of(placement, lane.consumer).numa_node);
  }
  return report;
}

}  // namespace sluice::detail
