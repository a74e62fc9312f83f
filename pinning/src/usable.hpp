// SPDX-License-Identifier: Apache-2.0
// Which units a plan may use at all, before it decides who gets which.
#pragma once

#include <string>
#include <vector>

#include <sluice/pinning/request.hpp>
#include <sluice/pinning/topology.hpp>

#include "order.hpp"

namespace sluice::pinning {

struct Usable {
  Units units{};                       // For workers; never empty.
  Units for_host{};                    // What the host and the master may use besides what workers leave.
  std::vector<std::string> remarks{};  // What was left out, and what is shared with others.
  bool shared_with_others = false;     // Other pipelines are bound to these units, or the host is.
  CpuSet of_others{};                  // Units that other pipelines or the host are bound to.
};

CpuSet set_of(const Units& units);
Units without(const Units& units, const CpuSet& others);
Units without(const Units& units, const Units& others);
// Of each core its first unit among these; of a core of which somebody holds a unit none, unless there are no others.
Units first_of_each_core(const Units& units, const Units& held);
// Those whose core nobody is at work on.
Units on_free_cores(const Units& units, const Units& held);
// These of the machine's.
Units units_in(const Topology& topology, const CpuSet& set);
Units select(const Units& units, auto&& wanted) {
  Units selected;
  for (const ProcessingUnit& unit : units) {
    if (wanted(unit)) selected.push_back(unit);
  }
  return selected;
}

// Throws sluice::Error if there are none.
Usable usable_units(const Topology& topology, const PlanRequest& request);

}  // namespace sluice::pinning
