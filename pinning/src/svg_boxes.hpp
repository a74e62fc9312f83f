// SPDX-License-Identifier: Apache-2.0
// Where a drawing of a machine has what: boxes in boxes, cores in caches in nodes in packages.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

struct Box {
  std::string title{};
  double x = 0, y = 0, width = 0, height = 0;
  std::vector<Box> inside{};
  std::vector<ProcessingUnit> units{};  // Of a core, which has no boxes inside.
};

inline constexpr double kUnitHeight = 15;  // Of the line of one unit in its core.
inline constexpr double kCoreWidth = 96;

// The whole machine, with its upper left corner at the origin.
Box boxes_of(const Topology& topology);

// Every core of it, with their positions.
void collect_cores(const Box& box, std::vector<const Box*>& cores);

}  // namespace sluice::pinning
