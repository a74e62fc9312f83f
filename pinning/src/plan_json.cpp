// SPDX-License-Identifier: Apache-2.0
// Writes a plan as JSON, for programs: every process with its place, every lane with its node, cost and remarks.
#include <fmt/format.h>

#include <sluice/detail/json_parts.hpp>
#include <sluice/pinning/explain.hpp>
#include <sluice/printable.hpp>

#include "names.hpp"

namespace sluice::pinning {
namespace {

std::string place_json(const Topology& topology, const std::string& name, const Place& place) {
  detail::JsonParts cpus;
  detail::JsonParts logical;
  for (std::size_t unit = 0; unit < topology.units.size(); ++unit) {
    if (!place.units.contains(topology.units[unit].os_index)) continue;
    cpus.add(fmt::format("{}", topology.units[unit].os_index));
    logical.add(fmt::format("{}", unit));
  }
  return fmt::format(R"({{"name":{},"cpus":{},"logical":{},"node":{},"shared":{}}})", json_text(name),
                     cpus.array(), logical.array(), place.numa_node, place.shared);
}

}  // namespace

std::string to_json(const Planned& planned) {
  const Plan& plan = planned.plan;
  const Names names{planned};
  detail::JsonParts workers;
  for (std::size_t worker = 0; worker < names.workers(); ++worker)
    workers.add(place_json(planned.topology, names.name(worker), names.place(worker)));
  detail::JsonParts lanes;
  for (const LanePlan& lane : plan.lanes) {
    lanes.add(fmt::format(R"({{"from":{},"to":{},"rate":{},"distance_ns":{},"node":{}}})",
                          json_text(names.name(lane.from)), json_text(names.name(lane.to)), lane.rate,
                          lane.distance, lane.numa_node));
  }
  detail::JsonParts memory;
  for (const auto& [node, bytes] : plan.memory_bytes)
    memory.add(fmt::format("\"{}\":{}", node, bytes));
  detail::JsonParts remarks;
  for (const std::string& remark : plan.remarks)
    remarks.add(json_text(remark));
  return fmt::format(
             R"({{"machine":{},"policy":{},"workers":{},"host":{},"master":{},"lanes":{},"cost_ns":{},)"
             R"("measured_costs":{},"optimal":{},"holds":{},"memory_bytes":{},"remarks":{}}})",
             json_text(planned.topology.description), json_text(to_string(plan.policy)), workers.array(),
             place_json(planned.topology, "host", plan.host),
             place_json(planned.topology, "master", plan.master), lanes.array(), plan.cost,
             plan.measured_costs, plan.optimal, !plan.oversubscribed, memory.object(), remarks.array()) +
         '\n';
}

}  // namespace sluice::pinning
