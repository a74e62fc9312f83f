// SPDX-License-Identifier: Apache-2.0
// The processing units, caches and memory nodes of a machine, as a plain value.
//
// Read once at start, or made from a description, so that a plan can be tested and rehearsed for machines
// that its authors do not have. Everything that decides reads this value and never asks the kernel.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sluice/pinning/cpu_set.hpp>

namespace sluice::pinning {

// What a field holds when the machine does not tell, or has no such level.
inline constexpr int kUnknown = -1;

struct ProcessingUnit {
  unsigned os_index = 0;     // The kernel's CPU number.
  int core = 0;              // Unique in the machine, not only in its package.
  int rank_in_core = 0;      // 0 for a core's first hardware thread, 1 and up for its SMT siblings.
  int l2 = kUnknown;         // Units with one number share an L2 cache.
  int l3 = kUnknown;         // Units with one number share an L3 cache.
  int numa_node = kUnknown;  // The OS number of the nearest node.
  int package = kUnknown;
  int efficiency = 0;     // Kind of core; higher is faster, all 0 on a machine of equal cores.
  bool allowed = true;    // Inside this process's affinity mask and cpuset.
  bool isolated = false;  // Kept free of other work by the administrator (isolcpus=).

  friend bool operator==(const ProcessingUnit&, const ProcessingUnit&) = default;
};

struct NumaNode {
  int os_index = 0;
  std::uint64_t memory_bytes = 0;
  bool allowed = true;  // May this process take memory there?

  friend bool operator==(const NumaNode&, const NumaNode&) = default;
};

struct Topology {
  std::vector<ProcessingUnit> units{};  // Neighbours in the machine are neighbours here.
  std::vector<NumaNode> nodes{};
  // What firmware says of the way from node to node, 10 for a node's own memory: a row for each of `nodes`. Empty
  // if it says nothing.
  std::vector<double> node_distances{};
  std::optional<double> quota_cores{};  // See cpu_quota().
  std::string description{};            // One line for a person: where it comes from and what is in it.

  CpuSet allowed() const;  // The units whose `allowed` is set.
};

// This machine as this process may use it. Takes milliseconds; call it once, at start, by one thread. Throws
// sluice::Error when hwloc cannot read the machine, and as cpu_quota() does.
Topology read_topology();

// A machine that does not exist, in hwloc's synthetic syntax: "package:2 l3:2 core:4 pu:2". All of it is
// allowed. Throws sluice::Error for a text that hwloc does not understand.
Topology topology_from_synthetic(const std::string& text);

// A machine saved by `lstopo --of xml FILE`, with the mask of allowed units that it was saved with. Throws
// sluice::Error for a file that cannot be read or is no topology.
Topology topology_from_xml(const std::filesystem::path& path);

// The same machine with no units allowed but those that also stand in `units`, which may be none. Pure.
Topology restricted(Topology topology, const CpuSet& units);

}  // namespace sluice::pinning
