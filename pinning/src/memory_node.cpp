// SPDX-License-Identifier: Apache-2.0
#include "memory_node.hpp"

#include <algorithm>
#include <cstddef>

namespace sluice::pinning {
namespace {

const NumaNode* find_node(const Topology& topology, int node) {
  const auto found = std::find_if(topology.nodes.begin(), topology.nodes.end(),
                                  [node](const NumaNode& known) { return known.os_index == node; });
  return found == topology.nodes.end() ? nullptr : &*found;
}

bool in_one_package(const Topology& topology, int left, int right) {
  const auto package_of = [&](int node) {
    const auto unit = std::find_if(topology.units.begin(), topology.units.end(),
                                   [node](const ProcessingUnit& each) { return each.numa_node == node; });
    return unit == topology.units.end() ? kUnknown : unit->package;
  };
  return package_of(left) != kUnknown && package_of(left) == package_of(right);
}

}  // namespace

bool has_memory(const Topology& topology, int node) {
  const NumaNode* known = find_node(topology, node);
  if (known == nullptr) return false;
  return known->memory_bytes > 0 || std::all_of(topology.nodes.begin(), topology.nodes.end(),
                                                [](const NumaNode& each) { return each.memory_bytes == 0; });
}

bool gives_memory(const Topology& topology, int node) {
  return has_memory(topology, node) && find_node(topology, node)->allowed;
}

int memory_node(const Topology& topology, int node) {
  if (gives_memory(topology, node)) return node;
  const NumaNode* bare = find_node(topology, node);
  if (bare == nullptr) return kUnknown;
  const std::size_t row = static_cast<std::size_t>(bare - topology.nodes.data()) * topology.nodes.size();
  int nearest = kUnknown;
  double least = 0;
  for (std::size_t other = 0; other < topology.nodes.size(); ++other) {
    const int number = topology.nodes[other].os_index;
    if (!gives_memory(topology, number)) continue;
    if (topology.node_distances.empty()) {
      if (in_one_package(topology, node, number)) return number;
    } else if (nearest == kUnknown || topology.node_distances[row + other] < least) {
      nearest = number;
      least = topology.node_distances[row + other];
    }
  }
  return nearest;
}

}  // namespace sluice::pinning
