// SPDX-License-Identifier: Apache-2.0
// Stages that have places of their own, side by side: which units each may take so that all of them find room.
#pragma once

#include <cstddef>
#include <vector>

#include "order.hpp"

namespace sluice::pinning {

struct Want {
  Units among{};
  std::size_t count = 0;
};

struct Matched {
  std::vector<Units> units{};  // Of each want; fewer than it wants where there is no room.
  // What is bad about it, the worst first: units that are wanting, units of others, and workers on a core that somebody is
  // at work on. Two of these can be compared.
  double price = 0;
};

// No unit twice, at the least price. `held`: where somebody is at work already; such units may be among those that are wanted.
//
// The cheapest flow from the wants through their units and cores, path by path (Ford and Fulkerson, "Flows in Networks",
// 1962): so many paths as units are wanted, each found in time proportional to wants times units.
Matched match(const std::vector<Want>& wants, const Units& held);

}  // namespace sluice::pinning
