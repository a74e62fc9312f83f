// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <hwloc.h>

#include <sluice/detail/text_file.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/quota.hpp>
#include <sluice/pinning/topology.hpp>

#include "affinity.hpp"
#include "topology_fault.hpp"

namespace sluice::pinning {
namespace {

struct Destroy {
  void operator()(hwloc_topology* topology) const noexcept { hwloc_topology_destroy(topology); }
};
using Handle = std::unique_ptr<hwloc_topology, Destroy>;

// Disallowed units stay in, so that a report can say what the machine has and this process may not use.
Handle new_handle() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) {
    throw Error{{.tried = "read the topology", .object = {}, .why = errno_text(), .remedy = {}}};
  }
  Handle handle{raw};
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  return handle;
}

// The things of one kind that units are in, numbered as they are met. hwloc's own numbers count level by
// level, and one kind can stand at several: where a core has one unit left, its sibling being offline, and
// each unit has an L1 cache of its own, that core comes out beneath its cache and the others above theirs,
// and two cores are number 0.
class Numbers {
 public:
  Numbers(hwloc_topology_t machine, hwloc_obj_type_t type) : machine_{machine}, type_{type} {}
  // kUnknown when the unit is in none.
  int of(hwloc_obj_t unit) {
    const hwloc_obj_t ancestor = hwloc_get_ancestor_obj_by_type(machine_, type_, unit);
    if (ancestor == nullptr) return kUnknown;
    return numbers_.try_emplace(ancestor->gp_index, static_cast<int>(numbers_.size())).first->second;
  }
  int count() const { return static_cast<int>(numbers_.size()); }

 private:
  hwloc_topology_t machine_;
  hwloc_obj_type_t type_;
  std::map<std::uint64_t, int> numbers_;
};

// Several nodes can be local to a unit (fast memory beside ordinary memory, nodes of the whole package). The
// one with the fewest units is the nearest; of equals hwloc lists the default node first.
int nearest_node(hwloc_topology_t machine, unsigned os_index) {
  int nearest = kUnknown;
  int fewest_units = std::numeric_limits<int>::max();
  for (hwloc_obj_t node = nullptr;
       (node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, node)) != nullptr;) {
    const int units = hwloc_bitmap_weight(node->cpuset);
    if (hwloc_bitmap_isset(node->cpuset, os_index) != 0 && units < fewest_units) {
      nearest = static_cast<int>(node->os_index);
      fewest_units = units;
    }
  }
  return nearest;
}

int efficiency_of(hwloc_topology_t machine, hwloc_obj_t unit) {
  const int kind = hwloc_cpukinds_get_by_cpuset(machine, unit->cpuset, 0);
  if (kind < 0) return 0;
  int efficiency = 0;
  const int error = hwloc_cpukinds_get_info(machine, static_cast<unsigned>(kind), nullptr, &efficiency,
                                            nullptr, nullptr, 0);
  return error == 0 ? std::max(efficiency, 0) : 0;
}

std::vector<ProcessingUnit> unit_values(hwloc_topology_t machine) {
  Numbers cores{machine, HWLOC_OBJ_CORE};
  Numbers l2{machine, HWLOC_OBJ_L2CACHE};
  Numbers l3{machine, HWLOC_OBJ_L3CACHE};
  Numbers packages{machine, HWLOC_OBJ_PACKAGE};
  std::vector<ProcessingUnit> values;
  for (hwloc_obj_t unit = nullptr;
       (unit = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_PU, unit)) != nullptr;) {
    values.push_back({.os_index = unit->os_index,
                      .core = cores.of(unit),
                      .l2 = l2.of(unit),
                      .l3 = l3.of(unit),
                      .numa_node = nearest_node(machine, unit->os_index),
                      .package = packages.of(unit),
                      .efficiency = efficiency_of(machine, unit)});
    ProcessingUnit& value = values.back();
    value.allowed = hwloc_bitmap_isset(hwloc_topology_get_allowed_cpuset(machine), unit->os_index) != 0;
    const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(machine, HWLOC_OBJ_CORE, unit);
    if (core == nullptr) continue;
    for (int sibling = hwloc_bitmap_first(core->cpuset); sibling != static_cast<int>(unit->os_index);
         sibling = hwloc_bitmap_next(core->cpuset, sibling)) {
      ++value.rank_in_core;
    }
  }
  // Where the kernel tells of no cores, each unit counts as one, numbered past those that are known.
  int next = cores.count();
  for (ProcessingUnit& value : values) {
    if (value.core == kUnknown) value.core = next++;
  }
  return values;
}

// Empty unless there is one matrix of latencies that knows every node.
std::vector<double> node_distances(hwloc_topology_t machine, const std::vector<NumaNode>& nodes) {
  unsigned found = 1;
  hwloc_distances_s* distances = nullptr;
  const int error = hwloc_distances_get_by_type(machine, HWLOC_OBJ_NUMANODE, &found, &distances,
                                                HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
  if (error != 0 || found == 0) return {};
  std::vector<double> values(nodes.size() * nodes.size());
  const auto row_of = [&](int os_index) {
    unsigned row = 0;
    while (row < distances->nbobjs &&
           (distances->objs[row] == nullptr || static_cast<int>(distances->objs[row]->os_index) != os_index))
      ++row;
    return row;
  };
  for (std::size_t from = 0; from < nodes.size() && !values.empty(); ++from) {
    for (std::size_t to = 0; to < nodes.size(); ++to) {
      const unsigned row = row_of(nodes[from].os_index);
      const unsigned column = row_of(nodes[to].os_index);
      if (row == distances->nbobjs || column == distances->nbobjs) {
        values.clear();
        break;
      }
      values[from * nodes.size() + to] =
          static_cast<double>(distances->values[std::size_t{row} * distances->nbobjs + column]);
    }
  }
  hwloc_distances_release(machine, distances);
  return values;
}

Topology to_value(hwloc_topology_t machine) {
  Topology topology;
  topology.units = unit_values(machine);
  for (hwloc_obj_t node = nullptr;
       (node = hwloc_get_next_obj_by_type(machine, HWLOC_OBJ_NUMANODE, node)) != nullptr;) {
    const bool allowed = hwloc_bitmap_isset(hwloc_topology_get_allowed_nodeset(machine), node->os_index) != 0;
    topology.nodes.push_back({static_cast<int>(node->os_index), node->attr->numanode.local_memory, allowed});
  }
  topology.node_distances = node_distances(machine, topology.nodes);
  return topology;
}

std::string counted(std::size_t number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

std::string describe(const Topology& topology, std::string_view source) {
  std::set<int> packages, caches, cores;
  CpuSet isolated;
  for (const ProcessingUnit& unit : topology.units) {
    if (unit.package != kUnknown) packages.insert(unit.package);
    if (unit.l3 != kUnknown) caches.insert(unit.l3);
    cores.insert(unit.core);
    if (unit.isolated) isolated.insert(unit.os_index);
  }
  std::string text = fmt::format(
      "{}: {}, {}, {}, {}, {}, allowed {}", source, counted(packages.size(), "package", "packages"),
      counted(topology.nodes.size(), "NUMA node", "NUMA nodes"),
      counted(caches.size(), "L3 cache", "L3 caches"), counted(cores.size(), "core", "cores"),
      counted(topology.units.size(), "processing unit", "processing units"), topology.allowed().to_string());
  if (!isolated.empty()) text += fmt::format(", isolated {}", isolated.to_string());
  if (topology.quota_cores) text += fmt::format(", CPU quota of {:.4g} cores", *topology.quota_cores);
  return text;
}

CpuSet isolated_units() {
  std::ifstream file{"/sys/devices/system/cpu/isolated"};
  std::string list;
  std::getline(file, list);  // A kernel without the file isolates nothing, and neither does an empty line.
  return CpuSet::parse(list);
}

// The kernel's mask is the truth: it holds the affinity and the cpuset, and it counts even where a container
// hides units from hwloc. Such a unit stands alone, for nothing is known of its neighbours.
void apply_affinity(Topology& topology, const CpuSet& granted) {
  CpuSet unknown = granted;
  int cores = 0;
  for (ProcessingUnit& unit : topology.units) {
    unit.allowed = granted.contains(unit.os_index);
    unknown.erase(unit.os_index);
    cores = std::max(cores, unit.core + 1);
  }
  for (const unsigned os_index : unknown.to_vector()) {
    topology.units.push_back({.os_index = os_index, .core = cores++});
  }
}

}  // namespace

CpuSet Topology::allowed() const {
  CpuSet set;
  for (const ProcessingUnit& unit : units) {
    if (unit.allowed) set.insert(unit.os_index);
  }
  return set;
}

Topology read_topology() {
  const Handle handle = new_handle();
  if (hwloc_topology_load(handle.get()) != 0) {
    throw Error{{.tried = "read the topology of",
                 .object = "this machine",
                 .why = errno_text(),
                 .remedy = "see whether lstopo shows it"}};
  }
  Topology topology = to_value(handle.get());
  apply_affinity(topology, affinity_of(0));
  const CpuSet isolated = isolated_units();
  for (ProcessingUnit& unit : topology.units)
    unit.isolated = isolated.contains(unit.os_index);
  topology.quota_cores = cpu_quota();
  // hwloc can be told by HWLOC_XMLFILE or HWLOC_SYNTHETIC to pretend; a reader of the report must know.
  const bool real = hwloc_topology_is_thissystem(handle.get()) != 0;
  topology.description = describe(topology, real ? "this machine" : "as HWLOC_* variables describe it");
  return topology;
}

Topology topology_from_synthetic(const std::string& text) {
  const Handle handle = new_handle();
  if (hwloc_topology_set_synthetic(handle.get(), text.c_str()) != 0 || is_larger_than_linux(text) ||
      hwloc_topology_load(handle.get()) != 0) {
    throw Error{{.tried = "read the synthetic topology",
                 .object = fmt::format("\"{}\"", text),
                 .why = fault_of_synthetic(text),
                 .remedy = "write levels from the outside in, such as package:2 l3:1 core:4 pu:2"}};
  }
  Topology topology = to_value(handle.get());
  topology.description = describe(topology, fmt::format("synthetic \"{}\"", text));
  return topology;
}

Topology topology_from_xml(const std::filesystem::path& path) {
  const auto refuse = [&path](std::string why) {
    throw Error{{.tried = "read the topology from",
                 .object = path.string(),
                 .why = std::move(why),
                 .remedy = "save one with lstopo --of xml FILE"}};
  };
  // Read here and not by hwloc, which would take "-" for standard input and tell no reason.
  constexpr std::size_t kMostBytes = std::size_t{64} << 20;
  const detail::TextRead read = detail::read_text_file(path.string(), kMostBytes);
  if (!read.why.empty()) refuse(read.why);
  const std::string& text = read.text;
  if (text.empty()) refuse("it is empty");

  const Handle handle = new_handle();
  const int length = static_cast<int>(text.size()) + 1;  // hwloc counts the terminating zero.
  if (hwloc_topology_set_xmlbuffer(handle.get(), text.c_str(), length) != 0 ||
      hwloc_topology_load(handle.get()) != 0) {
    refuse(fault_of_xml(text));
  }
  Topology topology = to_value(handle.get());
  topology.description = describe(topology, path.string());
  return topology;
}

Topology restricted(Topology topology, const CpuSet& units) {
  if (!topology.allowed().intersects(units)) {
    throw Error{{.tried = "restrict the processing units to",
                 .object = fmt::format("\"{}\"", units.to_string()),
                 .why = fmt::format("none of them is allowed; {} are", topology.allowed().to_string()),
                 .remedy = {}}};
  }
  for (ProcessingUnit& unit : topology.units)
    unit.allowed = unit.allowed && units.contains(unit.os_index);
  topology.description += fmt::format(", restricted to {}", topology.allowed().to_string());
  return topology;
}

}  // namespace sluice::pinning
