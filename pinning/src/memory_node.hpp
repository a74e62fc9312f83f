// SPDX-License-Identifier: Apache-2.0
// Where the memory of a node's units comes from: nodes can be without any, and a cpuset can keep it from this
// process.
#pragma once

#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

// Where the machine tells of no memory at all, every node has some.
bool has_memory(const Topology& topology, int node);

// It has some, and this process may use it.
bool gives_memory(const Topology& topology, int node);

// The node itself if it gives memory. Else the nearest that does, by firmware's distances, or, where there
// are none, the first of its package; of equals the first. kUnknown if there is none such: the kernel
// chooses.
int memory_node(const Topology& topology, int node);

}  // namespace sluice::pinning
