// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <sluice/pinning/explain.hpp>

#include "lanes.hpp"
#include "names.hpp"
#include "table.hpp"

namespace sluice::pinning {

Names::Names(const Planned& planned) {
  for (const StagePlan& stage : planned.plan.stages) {
    for (std::size_t worker = 0; worker < stage.workers.size(); ++worker) {
      names_.push_back(fmt::format("{}/{}", stage.name, worker));
      places_.push_back(&stage.workers[worker]);
    }
  }
  host_ = &planned.plan.host;
}

std::string stage_name(const Planned& planned, std::size_t stage) {
  return stage == kHost ? "host" : planned.request.stages[stage].name;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::uint64_t kMebi = std::uint64_t{1} << 20U;
  return bytes >= kMebi ? fmt::format("{:.1f} MiB", static_cast<double>(bytes) / static_cast<double>(kMebi))
                        : fmt::format("{} KiB", bytes / 1024);
}

namespace {

// The places of units in the order of the machine, as hwloc counts: "PU 4, core 2".
std::string logical_text(const Topology& topology, const Place& place) {
  CpuSet units;
  CpuSet cores;
  for (std::size_t logical = 0; logical < topology.units.size(); ++logical) {
    if (!place.units.contains(topology.units[logical].os_index)) continue;
    units.insert(static_cast<unsigned>(logical));
    cores.insert(static_cast<unsigned>(std::max(topology.units[logical].core, 0)));
  }
  return fmt::format("PU {} core {}", units.to_string(), cores.to_string());
}

Row process_row(const Topology& topology, std::string name, const Place& place) {
  return {std::move(name), place.units.to_string(), logical_text(topology, place), node_text(place.numa_node),
          place.shared ? "shared" : "own"};
}

std::string processes(const Planned& planned) {
  std::vector<Row> rows{{"process", "CPU", "logical", "node", "time"}};
  const Names names{planned};
  for (std::size_t worker = 0; worker < names.workers(); ++worker)
    rows.push_back(process_row(planned.topology, names.name(worker), names.place(worker)));
  rows.push_back(process_row(planned.topology, "host", planned.plan.host));
  rows.push_back(process_row(planned.topology, "master", planned.plan.master));
  return to_table(rows);
}

struct Sum {
  std::size_t lanes = 0;
  double rate = 0;
  double way = 0;
  std::map<int, std::size_t> on_node{};
};

// How many lanes lie on each node; of many nodes the least and the most, since a row has an end.
std::string nodes_text(const std::map<int, std::size_t>& on_node) {
  constexpr std::size_t kMostNamed = 3;
  if (on_node.size() > kMostNamed) {
    const auto [least, most] = std::minmax_element(
        on_node.begin(), on_node.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return fmt::format("{} nodes: {} to {}", on_node.size(), least->second, most->second);
  }
  std::string text;
  for (const auto& [node, lanes] : on_node)
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", node < 0 ? "any" : fmt::format("node {}", node),
                        lanes);
  return text;
}

std::string lanes(const Planned& planned) {
  constexpr std::size_t kMostSingle = 24;
  const Names names{planned};
  const bool single = planned.plan.lanes.size() <= kMostSingle;
  std::vector<Row> rows{{single ? "lane" : "flow", "lanes", "events", "mean way", "memory"}};
  std::map<std::size_t, Sum> sums;
  for (std::size_t i = 0; i < planned.plan.lanes.size(); ++i) {
    const LanePlan& lane = planned.plan.lanes[i];
    Sum& sum = sums[single ? i : lane.flow];
    ++sum.lanes;
    sum.rate += lane.rate;
    sum.way += lane.rate * lane.distance;
    ++sum.on_node[lane.numa_node];
  }
  const std::vector<Flow> flows = flows_of(planned.request);
  for (const auto& [index, sum] : sums) {
    std::string name;
    if (single) {
      const LanePlan& lane = planned.plan.lanes[index];
      name = fmt::format("{} > {}", names.name(lane.from), names.name(lane.to));
    } else {
      name = fmt::format("{} > {}", stage_name(planned, flows[index].from),
                         stage_name(planned, flows[index].to));
    }
    rows.push_back({std::move(name), fmt::format("{}", sum.lanes), fmt::format("{:.4g}", sum.rate),
                    fmt::format("{:.0f} ns", sum.rate > 0 ? sum.way / sum.rate : 0),
                    nodes_text(sum.on_node)});
  }
  return rows.size() == 1 ? "" : to_table(rows);
}

std::string memory(const Plan& plan) {
  std::string text;
  for (const auto& [node, bytes] : plan.memory_bytes) {
    if (bytes == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "memory: " : ", ",
                        node < 0 ? "on any node" : fmt::format("node {}", node), bytes_text(bytes));
  }
  return text.empty() ? text : text + '\n';
}

}  // namespace

std::string explain(const Planned& planned) {
  const Plan& plan = planned.plan;
  std::string text = fmt::format("{}\npolicy {}\n\n{}", planned.topology.description, to_string(plan.policy),
                                 processes(planned));
  if (const std::string ways = lanes(planned); !ways.empty()) text.append("\n").append(ways);
  text += fmt::format("\ncost {:.4g} ns {}, by {} distances{}\n", plan.cost, cost_unit(planned),
                      plan.measured_costs ? "measured" : "nominal",
                      plan.optimal ? "; no plan with a core for each worker costs less" : "");
  text += memory(plan);
  for (const std::string& remark : plan.remarks)
    text += fmt::format("! {}\n", remark);
  return text;
}

std::string cost_unit(const Planned& planned) {
  const bool measured =
      std::any_of(planned.request.flows.begin(), planned.request.flows.end(),
                  [](const Flow& flow) { return flow.rate > 0 || !flow.lane_rates.empty(); });
  return measured ? "under way in a second" : "for each event of a source";
}

std::string to_text(const Topology& topology) {
  std::vector<Row> rows{{"package", "node", "L3", "L2", "core", "CPU", "kind", ""}};
  std::map<int, Row> cores;
  std::vector<int> order;
  for (const ProcessingUnit& unit : topology.units) {
    const auto [row, is_new] =
        cores.try_emplace(unit.core, Row{node_text(unit.package), node_text(unit.numa_node),
                                         node_text(unit.l3), node_text(unit.l2), fmt::format("{}", unit.core),
                                         "", fmt::format("{}", unit.efficiency), ""});
    if (is_new) order.push_back(unit.core);
    row->second[5] += fmt::format("{}{}", is_new ? "" : ",", unit.os_index);
    if (!unit.allowed) row->second[7] = "not allowed";
    if (unit.isolated) row->second[7] = "isolated";
  }
  for (const int core : order)
    rows.push_back(cores[core]);
  std::string text = topology.description + "\n\n" + to_table(rows);
  for (const NumaNode& node : topology.nodes) {
    text += fmt::format("node {}: {}{}\n", node.os_index, bytes_text(node.memory_bytes),
                        node.allowed ? "" : ", not allowed");
  }
  return text;
}

}  // namespace sluice::pinning
