// SPDX-License-Identifier: Apache-2.0
// What the policies cost beside each other, and beside the least that there can be. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include <sluice/pinning/plan.hpp>

namespace sluice::pinning {

// Costs as Plan::cost has them.
struct Comparison {
  double chosen = 0;  // By policy auto.
  double compact = 0;
  double spread = 0;
  double random = 0;    // The mean of 20 plans that give each worker a unit of its own, always the same ones.
  bool shared = false;  // There is no unit for each worker and the host: no least is known then.
  std::optional<double> least{};  // Of plans with a core for each worker, where it was proved.
};

// `most_nodes` bounds the proof: PlanRequest::most_nodes. Throws as plan() does.
Comparison compare(const Topology& topology, PlanRequest request, std::uint64_t most_nodes);

}  // namespace sluice::pinning
