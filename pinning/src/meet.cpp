// SPDX-License-Identifier: Apache-2.0
// Workers that were given units of their own, and meet others there all the same.
#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "places.hpp"

namespace sluice::pinning {
namespace {

// Of these units those where several workers run.
CpuSet met_on(const CpuSet& taken, const std::vector<CpuSet>& units) {
  CpuSet once;
  CpuSet more;
  for (const CpuSet& each : units) {
    const CpuSet here = each & taken;
    more |= here & once;
    once |= here;
  }
  return more;
}

}  // namespace

void mark_those_who_meet(WorkerPlaces& places, const PlanRequest& request) {
  std::vector<CpuSet> units;
  units.reserve(places.units.size());
  for (const Units& own : places.units)
    units.push_back(set_of(own));
  const CpuSet met = met_on(set_of(places.taken), units);
  if (met.empty()) return;
  std::map<std::vector<std::string>, CpuSet> shared_by;
  for (const unsigned unit : met.to_vector()) {
    std::vector<std::string> stages;
    std::size_t worker = 0;
    for (const StageRequest& stage : request.stages) {
      for (unsigned replica = 0; replica < stage.workers; ++replica, ++worker) {
        if (!units[worker].contains(unit)) continue;
        places.shared[worker] = true;
        if (stages.empty() || stages.back() != stage.name) stages.push_back(stage.name);
      }
    }
    shared_by[stages].insert(unit);
  }
  places.stage_shares = true;
  for (const auto& [stages, both] : shared_by) {
    if (stages.size() < 2) continue;
    std::string names = stages.front();
    for (std::size_t i = 1; i < stages.size(); ++i)
      names += (i + 1 == stages.size() ? " and " : ", ") + stages[i];
    places.remarks.push_back(
        fmt::format("{} share {}: there is not enough beside each other", names, both.to_string()));
  }
}

}  // namespace sluice::pinning
