// SPDX-License-Identifier: Apache-2.0
#include "usable.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::pinning {
namespace {

// Isolated units belong to the user who had them isolated, and a process that is alone on one is exactly what
// they are for; but whether it should be ours the user has to say. An affinity mask of nothing else says so,
// too.
Units by_isolation(const Units& allowed, bool asked_for, std::vector<std::string>& remarks) {
  const Units isolated = select(allowed, [](const ProcessingUnit& unit) { return unit.isolated; });
  if (isolated.empty() || asked_for || isolated.size() == allowed.size()) return allowed;
  remarks.push_back(
      fmt::format("isolated processing units {} are left alone; allow nothing else to have them used",
                  set_of(isolated).to_string()));
  return select(allowed, [](const ProcessingUnit& unit) { return !unit.isolated; });
}

// A slip of the pen, perhaps, but not a reason to refuse: the CPU may be offline today, or another container's.
void remark_reserved(const Topology& topology, const CpuSet& reserved, std::vector<std::string>& remarks) {
  const CpuSet elsewhere = reserved - topology.allowed();
  if (elsewhere.empty()) return;
  remarks.push_back(
      fmt::format("reserved processing units {} are none that this pipeline could use: allowed are {}",
                  elsewhere.to_string(), topology.allowed().to_string()));
}

// Other pipelines keep what they have while anything else is left: two that share a unit both lose more than
// one that shares its own.
Units beside_claims(const Units& units, const std::vector<Claim>& claims, Usable& result) {
  CpuSet claimed;
  for (const Claim& claim : claims)
    claimed |= claim.units;
  const CpuSet met = claimed & set_of(units);
  if (met.empty()) return units;
  std::string owners;
  for (const Claim& claim : claims) {
    if (!claim.units.intersects(met)) continue;
    owners +=
        fmt::format("{}{} ({})", owners.empty() ? "" : ", ", claim.owner, (claim.units & met).to_string());
  }
  Units left = without(units, claimed);
  if (left.empty()) {
    result.shared_with_others = true;
    result.remarks.push_back(fmt::format("no unit is left beside {}: this pipeline shares {} with it", owners,
                                         set_of(units).to_string()));
    return units;
  }
  result.remarks.push_back(fmt::format("planned around {}", owners));
  return left;
}

}  // namespace

CpuSet set_of(const Units& units) {
  CpuSet set;
  for (const ProcessingUnit& unit : units)
    set.insert(unit.os_index);
  return set;
}

Units without(const Units& units, const CpuSet& others) {
  return select(units, [&](const ProcessingUnit& unit) { return !others.contains(unit.os_index); });
}

Units without(const Units& units, const Units& others) {
  return without(units, set_of(others));
}

Units first_of_each_core(const Units& units, const Units& held) {
  Units free = on_free_cores(units, held);
  if (free.empty()) free = units;
  return select(free, [&](const ProcessingUnit& unit) {
    return std::none_of(free.begin(), free.end(), [&](const ProcessingUnit& other) {
      return other.core == unit.core && other.rank_in_core < unit.rank_in_core;
    });
  });
}

Units on_free_cores(const Units& units, const Units& held) {
  return select(units, [&](const ProcessingUnit& unit) {
    return std::none_of(held.begin(), held.end(),
                        [&](const ProcessingUnit& other) { return other.core == unit.core; });
  });
}

Units units_in(const Topology& topology, const CpuSet& set) {
  return select(topology.units, [&](const ProcessingUnit& unit) { return set.contains(unit.os_index); });
}

Usable usable_units(const Topology& topology, const PlanRequest& request) {
  const auto refuse = [](std::string why, std::string remedy) {
    throw Error{
        {.tried = "place the pipeline", .object = {}, .why = std::move(why), .remedy = std::move(remedy)}};
  };
  Usable result;
  const Units allowed = select(topology.units, [](const ProcessingUnit& unit) { return unit.allowed; });
  if (allowed.empty()) refuse("no processing unit is allowed", "widen the affinity mask or the cpuset");
  Units usable = without(allowed, request.reserved);
  if (usable.empty()) {
    refuse(fmt::format("all of the allowed processing units {} are reserved", set_of(allowed).to_string()),
           "reserve fewer, or widen the affinity mask or the cpuset");
  }
  if (request.policy != Policy::none) {
    usable = by_isolation(usable, request.isolated, result.remarks);
    usable = beside_claims(usable, request.claims, result);
  }
  for (const Claim& claim : request.claims)
    result.of_others |= claim.units;
  if (request.host) result.of_others |= *request.host;
  remark_reserved(topology, request.reserved, result.remarks);
  result.for_host = usable;
  if (request.policy != Policy::none && request.smt == Smt::never)
    usable = first_of_each_core(usable, units_in(topology, result.of_others));
  if (request.policy != Policy::none && request.host) {
    Units beside_host = without(usable, *request.host);
    if (beside_host.empty()) {
      result.shared_with_others = true;
      result.remarks.push_back(
          fmt::format("the host is bound to {}, and no other unit is left: workers share them",
                      request.host->to_string()));
    } else {
      usable = std::move(beside_host);
    }
  }
  result.units = std::move(usable);
  return result;
}

}  // namespace sluice::pinning
