// SPDX-License-Identifier: Apache-2.0
// The workers of a plan get their units: explicit places first, then what the policy makes of the rest.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sluice/pinning/distance.hpp>
#include <sluice/pinning/plan.hpp>

#include "choose.hpp"
#include "order.hpp"
#include "usable.hpp"

namespace sluice::pinning {

struct WorkerPlaces {
  std::vector<Units> units{};  // Of each worker.
  std::vector<bool> shared{};  // Of each worker: others run there, too.
  Units taken{};               // Units that workers have of their own,
  Units filled{};              // and that the workers of a stage share, whose place is too small for it.
  std::optional<ProcessingUnit>
      host_near{};            // Where the host would have the shortest way, if that was asked.
  bool crowded = false;       // There are not enough units for the workers, and the host.
  bool stage_shares = false;  // A stage's own place is too small for it.
  bool optimal = false;
  std::vector<std::string> remarks{};
};

WorkerPlaces place_workers(const Topology& topology, const PlanRequest& request, const Usable& usable,
                           const Talk& talk, const Distances& distances);

// Whoever has units of its own where somebody else runs, too, does not have them alone: neither is to spin there.
void mark_those_who_meet(WorkerPlaces& places, const PlanRequest& request);

}  // namespace sluice::pinning
