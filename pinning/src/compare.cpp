// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <utility>
#include <vector>

#include <sluice/pinning/compare.hpp>
#include <sluice/pinning/distance.hpp>

namespace sluice::pinning {
namespace {

double random_cost(const Topology& topology, const Plan& plan) {
  constexpr int kPlans = 20;
  const MeasuredCosts nominal;
  const Distances distances{topology, nominal};
  std::vector<const ProcessingUnit*> units;
  for (const ProcessingUnit& unit : topology.units) {
    if (unit.allowed) units.push_back(&unit);
  }
  // NOLINTNEXTLINE(cert-msc32-c,cert-msc51-cpp): the figures of a guide are to be had again.
  std::mt19937 random{1};
  double sum = 0;
  for (int each = 0; each < kPlans; ++each) {
    for (std::size_t i = units.size(); i > 1; --i)
      std::swap(units[i - 1], units[random() % i]);
    const auto unit = [&](std::size_t end) {
      return units[(end == kHost ? units.size() - 1 : end) % units.size()];
    };
    for (const LanePlan& lane : plan.lanes)
      sum += lane.rate * distances.between(*unit(lane.from), *unit(lane.to));
  }
  return sum / kPlans;
}

}  // namespace

Comparison compare(const Topology& topology, PlanRequest request, std::uint64_t most_nodes) {
  const auto planned = [&](Policy policy) {
    request.policy = policy;
    return plan(topology, request);
  };
  const Plan chosen = planned(Policy::automatic);
  Comparison found{.chosen = chosen.cost,
                   .compact = planned(Policy::compact).cost,
                   .spread = planned(Policy::spread).cost,
                   .random = random_cost(topology, chosen),
                   .shared = chosen.oversubscribed};
  if (found.shared) return found;
  request.most_nodes = most_nodes;
  const Plan proved = planned(Policy::automatic);
  if (proved.optimal) found.least = proved.cost;
  return found;
}

}  // namespace sluice::pinning
