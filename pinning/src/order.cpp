// SPDX-License-Identifier: Apache-2.0
#include "order.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "usable.hpp"

namespace sluice::pinning {
namespace {

// From the outside in. A group at depth d agrees on the first d levels; depth 0 is the machine.
using Level = int ProcessingUnit::*;
constexpr std::array<Level, 3> kLevels{&ProcessingUnit::package, &ProcessingUnit::numa_node,
                                       &ProcessingUnit::l3};

bool agree(const ProcessingUnit& left, const ProcessingUnit& right, std::size_t depth) {
  return std::all_of(kLevels.begin(), kLevels.begin() + static_cast<std::ptrdiff_t>(depth),
                     [&](Level level) { return left.*level == right.*level; });
}

// Groups in the order of their first members, members in the order in which they came.
std::vector<Units> groups_of(const Units& units, std::size_t depth) {
  std::vector<Units> groups;
  for (const ProcessingUnit& unit : units) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const Units& members) {
      return agree(members.front(), unit, depth);
    });
    if (group != groups.end()) {
      group->push_back(unit);
    } else {
      groups.push_back({unit});
    }
  }
  return groups;
}

void append(Units& units, const Units& more) {
  units.insert(units.end(), more.begin(), more.end());
}

// The smallest group that has room for `count`, the first of equals; none if none has.
const Units* smallest_with_room(const std::vector<Units>& groups, std::size_t count) {
  const Units* best = nullptr;
  for (const Units& group : groups) {
    if (group.size() >= count && (best == nullptr || group.size() < best->size())) best = &group;
  }
  return best;
}

// Picks `count` of equal units from as few neighbourhoods as possible: all from the smallest domain that has
// room, the innermost level first; where no L3 cache has room, a whole largest subdomain and then the same
// question again for the rest.
Units pick_near(Units units, std::size_t count) {
  Units picked;
  std::size_t depth = kLevels.size();
  while (count > 0) {
    // Every turn ends, goes one level out or takes at least one unit away.
    const std::vector<Units> groups = groups_of(units, depth);
    if (const Units* home = smallest_with_room(groups, count)) {
      if (depth == kLevels.size()) {
        picked.insert(picked.end(), home->begin(), home->begin() + static_cast<std::ptrdiff_t>(count));
        return picked;
      }
      const std::vector<Units> parts = groups_of(*home, depth + 1);
      const Units largest = *std::max_element(
          parts.begin(), parts.end(), [](const Units& a, const Units& b) { return a.size() < b.size(); });
      append(picked, largest);
      count -= largest.size();
      units = without(*home, largest);
      depth = kLevels.size();
    } else {
      --depth;
    }
  }
  return picked;
}

// Neighbours side by side, in the order in which the domains first appear.
Units neighbours_together(const Units& units, std::size_t depth = 0) {
  if (depth == kLevels.size()) return units;
  Units together;
  for (const Units& group : groups_of(units, depth + 1))
    append(together, neighbours_together(group, depth + 1));
  return together;
}

// One from each package in turn, and within a package one from each node and L3 cache in turn.
Units round_robin(const Units& units, std::size_t depth = 0) {
  if (depth == kLevels.size()) return units;
  std::vector<Units> groups;
  for (const Units& group : groups_of(units, depth + 1))
    groups.push_back(round_robin(group, depth + 1));
  Units dealt;
  for (std::size_t turn = 0; dealt.size() < units.size(); ++turn) {
    for (const Units& group : groups) {
      if (turn < group.size()) dealt.push_back(group[turn]);
    }
  }
  return dealt;
}

}  // namespace

// The rank counts threads that are usable or held: where the mask leaves out a core's first thread, its second is as good
// as a first, but not where somebody is at work on the first. Isolated units are here only if they are asked for: nothing
// else disturbs a worker there.
std::vector<Units> tiers(const Units& usable, const Units& held) {
  // How many threads of the core precede or are held, whether others run there too, -efficiency.
  std::map<std::tuple<int, bool, int>, Units> by_worth;
  std::map<int, std::vector<int>> ranks_of_core;
  for (const ProcessingUnit& unit : usable)
    ranks_of_core[unit.core].push_back(unit.rank_in_core);
  constexpr int kBeforeAll = -1;
  for (const ProcessingUnit& unit : without(held, usable))
    ranks_of_core[unit.core].push_back(kBeforeAll);
  for (const ProcessingUnit& unit : usable) {
    const std::vector<int>& ranks = ranks_of_core[unit.core];
    const auto preceding =
        std::count_if(ranks.begin(), ranks.end(), [&](int rank) { return rank < unit.rank_in_core; });
    by_worth[{static_cast<int>(preceding), !unit.isolated, -unit.efficiency}].push_back(unit);
  }
  std::vector<Units> ordered;
  ordered.reserve(by_worth.size());
  for (auto& [worth, units] : by_worth)
    ordered.push_back(std::move(units));
  return ordered;
}

Units units_for_workers(const Units& usable, const Units& held, Policy policy, std::size_t count) {
  Units chosen;
  for (const Units& tier : tiers(usable, held)) {
    const std::size_t wanted = std::min(count - chosen.size(), tier.size());
    if (policy == Policy::spread) {
      Units dealt = round_robin(tier);
      dealt.resize(wanted);
      append(chosen, dealt);
    } else {
      append(chosen, pick_near(tier, wanted));
    }
  }
  return policy == Policy::spread ? chosen : neighbours_together(chosen);
}

bool same_domain(const ProcessingUnit& left, const ProcessingUnit& right) {
  return agree(left, right, kLevels.size());
}

}  // namespace sluice::pinning
