// SPDX-License-Identifier: Apache-2.0
// Writes a plan as JSON, for programs: every process with its place, every lane with its node, cost and remarks.
#include <fmt/format.h>

#include <sluice/pinning/explain.hpp>

#include "names.hpp"

namespace sluice::pinning {
namespace {

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') {
      result.append(1, '\\').append(1, character);
    } else if (static_cast<unsigned char>(character) < ' ') {
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(character));
    } else {
      result += character;
    }
  }
  return result + '"';
}

// Puts commas between the parts of a list.
class List {
 public:
  void add(std::string_view part) { text_.append(text_.empty() ? "" : ",").append(part); }
  std::string array() const { return "[" + text_ + "]"; }
  std::string object() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string place_json(const Topology& topology, const std::string& name, const Place& place) {
  List cpus;
  List logical;
  for (std::size_t unit = 0; unit < topology.units.size(); ++unit) {
    if (!place.units.contains(topology.units[unit].os_index)) continue;
    cpus.add(fmt::format("{}", topology.units[unit].os_index));
    logical.add(fmt::format("{}", unit));
  }
  return fmt::format(R"({{"name":{},"cpus":{},"logical":{},"node":{},"shared":{}}})", json_string(name),
                     cpus.array(), logical.array(), place.numa_node, place.shared);
}

}  // namespace

std::string to_json(const Planned& planned) {
  const Plan& plan = planned.plan;
  const Names names{planned};
  List workers;
  for (std::size_t worker = 0; worker < names.workers(); ++worker)
    workers.add(place_json(planned.topology, names.name(worker), names.place(worker)));
  List lanes;
  for (const LanePlan& lane : plan.lanes) {
    lanes.add(fmt::format(R"({{"from":{},"to":{},"rate":{},"distance_ns":{},"node":{}}})",
                          json_string(names.name(lane.from)), json_string(names.name(lane.to)), lane.rate,
                          lane.distance, lane.numa_node));
  }
  List memory;
  for (const auto& [node, bytes] : plan.memory_bytes)
    memory.add(fmt::format("\"{}\":{}", node, bytes));
  List remarks;
  for (const std::string& remark : plan.remarks)
    remarks.add(json_string(remark));
  return fmt::format(
             R"({{"machine":{},"policy":{},"workers":{},"host":{},"master":{},"lanes":{},"cost_ns":{},)"
             R"("measured_costs":{},"optimal":{},"holds":{},"memory_bytes":{},"remarks":{}}})",
             json_string(planned.topology.description), json_string(to_string(plan.policy)), workers.array(),
             place_json(planned.topology, "host", plan.host),
             place_json(planned.topology, "master", plan.master), lanes.array(), plan.cost,
             plan.measured_costs, plan.optimal, !plan.oversubscribed, memory.object(), remarks.array()) +
         '\n';
}

}  // namespace sluice::pinning
