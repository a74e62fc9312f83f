// SPDX-License-Identifier: Apache-2.0
#include "svg_boxes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "order.hpp"

namespace sluice::pinning {
namespace {

constexpr double kGap = 8;
constexpr double kTitle = 16;

struct Level {
  std::string_view name;
  int ProcessingUnit::*number;
};
constexpr std::array kLevels{Level{"package", &ProcessingUnit::package},
                             Level{"node", &ProcessingUnit::numa_node}, Level{"L3", &ProcessingUnit::l3},
                             Level{"core", &ProcessingUnit::core}};

std::vector<std::pair<int, Units>> parts(const Units& units, int ProcessingUnit::*number) {
  std::vector<std::pair<int, Units>> found;
  for (const ProcessingUnit& unit : units) {
    const auto known = std::find_if(found.begin(), found.end(),
                                    [&](const auto& part) { return part.first == unit.*number; });
    if (known == found.end()) {
      found.push_back({unit.*number, {unit}});
    } else {
      known->second.push_back(unit);
    }
  }
  return found;
}

// In rows, nearly as wide as high where the boxes are; two stand side by side.
void arrange(Box& box, double title) {
  double area = 0;
  double widest = 0;
  for (const Box& each : box.inside) {
    area += (each.width + kGap) * (each.height + kGap);
    widest = std::max(widest, each.width);
  }
  constexpr double kShape =
      2.2;  // Wider than high: pages scroll downwards, but lanes need room to be told apart.
  const double limit = std::max(widest, std::sqrt(area * kShape));
  double x = kGap;
  double y = title + kGap;
  double row = 0;
  for (Box& each : box.inside) {
    if (x > kGap && x + each.width > limit + kGap) {
      x = kGap;
      y += row + kGap;
      row = 0;
    }
    each.x = x;
    each.y = y;
    x += each.width + kGap;
    row = std::max(row, each.height);
    box.width = std::max(box.width, x);
  }
  box.height = y + row + kGap;
}

Box core_box(int core, const Units& units) {
  Box box{.title = fmt::format("core {}", core), .width = kCoreWidth, .units = units};
  box.height = kTitle + kUnitHeight * static_cast<double>(units.size()) + 4;
  return box;
}

Box box_of(const Units& units, std::size_t level, std::string title) {
  Box box{.title = std::move(title)};
  const auto found = parts(units, kLevels[level].number);
  // A level that the machine does not tell, or that is one with the level above it, has no border of its own.
  for (const auto& [number, members] : found) {
    if (level + 1 == kLevels.size()) {
      box.inside.push_back(core_box(number, members));
    } else {
      box.inside.push_back(box_of(
          members, level + 1, number == kUnknown ? "" : fmt::format("{} {}", kLevels[level].name, number)));
    }
  }
  if (box.inside.size() == 1 && !box.inside.front().inside.empty()) {
    Box only = std::move(box.inside.front());
    if (!box.title.empty() && !only.title.empty()) only.title = box.title + ", " + only.title;
    if (only.title.empty()) only.title = box.title;
    box = std::move(only);
    box.x = box.y = 0;
    return box;
  }
  arrange(box, box.title.empty() ? 0 : kTitle);
  return box;
}

void move(Box& box, double x, double y) {
  box.x += x;
  box.y += y;
  for (Box& each : box.inside)
    move(each, box.x, box.y);
}

}  // namespace

Box boxes_of(const Topology& topology) {
  Box machine = box_of(topology.units, 0, "");
  move(machine, 0, 0);
  return machine;
}

void collect_cores(const Box& box, std::vector<const Box*>& cores) {
  if (!box.units.empty()) cores.push_back(&box);
  for (const Box& each : box.inside)
    collect_cores(each, cores);
}

}  // namespace sluice::pinning
