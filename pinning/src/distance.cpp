// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/distance.hpp>

namespace sluice::pinning {
namespace {

void check(const MeasuredCosts& costs) {
  const auto refuse = [](std::string why) {
    throw Error{{.tried = "use the measured costs",
                 .object = {},
                 .why = std::move(why),
                 .remedy = "measure them again with sluice calibrate"}};
  };
  const std::size_t units = costs.units.size();
  if (costs.nanoseconds.size() != units * units) {
    refuse(fmt::format("{} {} and not {}", detail::counted(units, "unit", "has", "have"),
                       detail::counted(costs.nanoseconds.size(), "cost"), units * units));
  }
  for (const double cost : costs.nanoseconds) {
    if (!std::isfinite(cost) || cost < 0) refuse(fmt::format("{} is no time", cost));
  }
}

void number(std::vector<int>& index, std::size_t os_index, std::size_t value) {
  if (os_index >= index.size()) index.resize(os_index + 1, kUnknown);
  index[os_index] = static_cast<int>(value);
}

int found(const std::vector<int>& index, std::size_t os_index) {
  return os_index < index.size() ? index[os_index] : kUnknown;
}

bool same(int left, int right) {
  return left == right && left != kUnknown;
}

}  // namespace

std::string_view to_string(Reach reach) {
  switch (reach) {
    case Reach::unit:
      return "one unit";
    case Reach::core:
      return "one core";
    case Reach::l2:
      return "one L2";
    case Reach::l3:
      return "one L3";
    case Reach::node:
      return "one node";
    case Reach::die:
      return "one package";
    case Reach::machine:
      break;
  }
  return "the machine";
}

Reach reach_between(const ProcessingUnit& left, const ProcessingUnit& right) {
  if (left.os_index == right.os_index) return Reach::unit;
  if (left.core == right.core) return Reach::core;
  if (same(left.l2, right.l2)) return Reach::l2;
  if (same(left.l3, right.l3)) return Reach::l3;
  // What is unknown of both is no border between them: a machine without packages is one.
  const bool one_node = left.numa_node == right.numa_node;
  const bool one_package = left.package == right.package;
  if (one_node && one_package) return Reach::node;
  return one_package || one_node ? Reach::die : Reach::machine;
}

double nominal_cost(Reach reach) {
  switch (reach) {
    case Reach::unit:
      return 0;
    case Reach::core:
      return 15;
    case Reach::l2:
      return 30;
    case Reach::l3:
      return 45;
    case Reach::node:
      return 90;
    case Reach::die:
      return 120;
    case Reach::machine:
      break;
  }
  return 250;
}

Distances::Distances(const Topology& topology, const MeasuredCosts& measured)
    : topology_{topology}, costs_{measured} {
  check(measured);
  measured_ = !measured.empty() && measured.steady;
  if (measured_) {
    for (std::size_t row = 0; row < measured.units.size(); ++row)
      number(row_of_unit_, measured.units[row], row);
  }
  for (std::size_t node = 0; node < topology.nodes.size(); ++node) {
    if (topology.nodes[node].os_index >= 0)
      number(index_of_node_, static_cast<std::size_t>(topology.nodes[node].os_index), node);
  }
  for (std::size_t unit = 0; unit < topology.units.size(); ++unit)
    number(index_of_unit_, topology.units[unit].os_index, unit);
}

double Distances::node_distance(int left, int right) const {
  if (topology_.node_distances.empty() || left < 0 || right < 0 || left == right) return 0;
  const int row = found(index_of_node_, static_cast<std::size_t>(left));
  const int column = found(index_of_node_, static_cast<std::size_t>(right));
  if (row < 0 || column < 0) return 0;
  const auto at = static_cast<std::size_t>(row) * topology_.nodes.size() + static_cast<std::size_t>(column);
  return topology_.node_distances[at];
}

double Distances::between(const ProcessingUnit& left, const ProcessingUnit& right) const {
  if (left.os_index == right.os_index) return 0;
  if (measured_) {
    const int row = found(row_of_unit_, left.os_index);
    const int column = found(row_of_unit_, right.os_index);
    if (row >= 0 && column >= 0) {
      const std::size_t units = costs_.units.size();
      const auto from = static_cast<std::size_t>(row);
      const auto to = static_cast<std::size_t>(column);
      // The way there and back counts, whoever of the two was measured as the first.
      return (costs_.nanoseconds[from * units + to] + costs_.nanoseconds[to * units + from]) / 2;
    }
  }
  constexpr double kNanosecondsOfAPoint = 10;
  const double by_firmware = kNanosecondsOfAPoint * std::max(node_distance(left.numa_node, right.numa_node),
                                                             node_distance(right.numa_node, left.numa_node));
  const Reach reach = reach_between(left, right);
  return reach < Reach::die ? nominal_cost(reach) : std::max(nominal_cost(reach), by_firmware);
}

double Distances::between(const Place& left, const Place& right) const {
  double sum = 0;
  std::size_t pairs = 0;
  const std::vector<unsigned> others = right.units.to_vector();
  for (const unsigned one : left.units.to_vector()) {
    const int from = found(index_of_unit_, one);
    if (from < 0) continue;
    for (const unsigned other : others) {
      const int to = found(index_of_unit_, other);
      if (to < 0) continue;
      sum += between(topology_.units[static_cast<std::size_t>(from)],
                     topology_.units[static_cast<std::size_t>(to)]);
      ++pairs;
    }
  }
  return pairs == 0 ? 0 : sum / static_cast<double>(pairs);
}

}  // namespace sluice::pinning
