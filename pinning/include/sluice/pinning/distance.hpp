// SPDX-License-Identifier: Apache-2.0
// How far processing units lie apart: what an event costs on its way from one to another.
#pragma once

#include <string_view>
#include <vector>

#include <sluice/pinning/place.hpp>
#include <sluice/pinning/request.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

// The innermost thing that two units share. `die`: one of package and NUMA node, and not the other.
enum class Reach { unit, core, l2, l3, node, die, machine };

// "one unit", "one core", "one L2", "one L3", "one node", "one package", "the machine".
std::string_view to_string(Reach reach);

Reach reach_between(const ProcessingUnit& left, const ProcessingUnit& right);

// What a line takes at that reach on an ordinary server, in nanoseconds: 0, 15, 30, 45, 90, 120, 250. Only their
// proportions count. Where nodes have distances of their own (10 for a node itself), ten nanoseconds for each
// point of it if that is more.
double nominal_cost(Reach reach);

// The cost between any two units of a machine: measured if there are steady measurements of both, else nominal.
// Keeps references to both arguments.
class Distances {
 public:
  // Throws sluice::Error for a matrix that is no square of its units or holds what is no time.
  Distances(const Topology& topology, const MeasuredCosts& measured);

  double between(const ProcessingUnit& left, const ProcessingUnit& right) const;

  // The mean over all pairs of units; 0 if either has none that the machine knows.
  double between(const Place& left, const Place& right) const;

  bool measured() const noexcept { return measured_; }

 private:
  double node_distance(int left, int right) const;

  const Topology& topology_;
  const MeasuredCosts& costs_;
  bool measured_ = false;
  std::vector<int> row_of_unit_;    // Of the measured matrix, by OS number; kUnknown if it was not measured.
  std::vector<int> index_of_node_;  // Of Topology::nodes, by OS number.
  std::vector<int> index_of_unit_;  // Of Topology::units, by OS number.
};

}  // namespace sluice::pinning
