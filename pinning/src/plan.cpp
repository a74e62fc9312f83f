// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/plan.hpp>

#include "order.hpp"

namespace sluice::pinning {
namespace {

[[noreturn]] void refuse_plan(std::string why, std::string remedy) {
  throw Error{
      {.tried = "place the pipeline", .object = {}, .why = std::move(why), .remedy = std::move(remedy)}};
}

std::size_t count_workers(const PlanRequest& request) {
  std::size_t workers = 0;
  for (const StageRequest& stage : request.stages) {
    if (stage.workers == 0) {
      refuse_plan(fmt::format("stage \"{}\" has no workers", stage.name), "give it at least one");
    }
    workers += stage.workers;
  }
  return workers;
}

CpuSet set_of(const Units& units) {
  CpuSet set;
  for (const ProcessingUnit& unit : units)
    set.insert(unit.os_index);
  return set;
}

Units select(const Units& units, auto&& wanted) {
  Units selected;
  std::copy_if(units.begin(), units.end(), std::back_inserter(selected), wanted);
  return selected;
}

bool memory_allowed(const Topology& topology, int node) {
  return std::any_of(topology.nodes.begin(), topology.nodes.end(),
                     [node](const NumaNode& known) { return known.os_index == node && known.allowed; });
}

Place place_on(const Topology& topology, const Units& units, bool shared) {
  Place place{.units = set_of(units), .numa_node = units.front().numa_node, .shared = shared};
  const bool agreed = std::all_of(units.begin(), units.end(), [&](const ProcessingUnit& unit) {
    return unit.numa_node == place.numa_node;
  });
  if (!agreed || !memory_allowed(topology, place.numa_node)) place.numa_node = kUnknown;
  return place;
}

// Isolated units belong to the user who had them isolated, and a process that is alone on one is exactly what
// they are for; but whether it should be ours the user has not said. An affinity mask of nothing else says
// so.
Units usable_units(const Topology& topology) {
  const Units allowed = select(topology.units, [](const ProcessingUnit& unit) { return unit.allowed; });
  const Units ordinary = select(allowed, [](const ProcessingUnit& unit) { return !unit.isolated; });
  return ordinary.empty() ? allowed : ordinary;
}

// Where the workers run if each has a unit of its own.
std::vector<Place> own_places(const Topology& topology, const Units& dealt, bool shared) {
  std::vector<Place> places;
  for (const ProcessingUnit& unit : dealt)
    places.push_back(place_on(topology, {unit}, shared));
  return places;
}

// Where the workers run if there is no unit for each of them and the host: evenly dealt over the units, but
// bound to the L3 domain of their unit and not to the unit.
//
// Measured with chains of 3 to 7 busy processes that sleep when they wait, on 2 cores under one L3 with other
// work about, medians of 7 to 15 interleaved runs; throughput left to the scheduler within the domain,
// against one unit for each: 1.1 to 1.6 times for 3 equal processes, which no deal can balance, also when
// only the host was free to move, so that the rule holds for as many workers as units too; up to 1.8 times
// for uneven work where the deal put the heavy ones together; the same for long equal work; 0.7 to 0.9 times
// for 4 and more with very short equal work, where more wake-ups cross cores. A plan cannot know the work of
// a stage, so it takes the choice that loses little over the one that can lose half.
//
// Isolated units are the exception: the kernel balances no load between them, and a process that is bound to
// several stays on one of them for good. There each worker gets one.
std::vector<Place> shared_places(const Topology& topology, const Units& usable, Policy policy,
                                 std::size_t workers) {
  const Units dealt = units_for_workers(usable, policy, usable.size());
  std::vector<Place> places;
  for (std::size_t worker = 0; worker < workers; ++worker) {
    // compact gives runs of workers that follow each other to one unit, spread deals them in turn.
    const std::size_t index =
        policy == Policy::spread ? worker % dealt.size() : worker * dealt.size() / workers;
    const ProcessingUnit& unit = dealt[index];
    const Units domain =
        unit.isolated ? Units{unit}
                      : select(usable, [&](const ProcessingUnit& other) { return same_domain(unit, other); });
    places.push_back(place_on(topology, domain, true));
  }
  return places;
}

// What is left for host and master, by the preferences that plan.hpp states; all units if nothing is left.
Units left_over(const Units& usable, const Units& taken) {
  const auto is_free = [&](const ProcessingUnit& unit) {
    return std::find(taken.begin(), taken.end(), unit) == taken.end();
  };
  Units left = select(usable, is_free);
  if (left.empty()) return usable;
  const auto core_is_free = [&](const ProcessingUnit& unit) {
    return std::none_of(taken.begin(), taken.end(),
                        [&](const ProcessingUnit& other) { return other.core == unit.core; });
  };
  if (Units cores = select(left, core_is_free); !cores.empty()) left = std::move(cores);
  if (taken.empty()) return left;
  const auto is_near = [&](const ProcessingUnit& unit) {
    return unit.package == taken.front().package && unit.numa_node == taken.front().numa_node;
  };
  if (Units near = select(left, is_near); !near.empty()) return near;
  return left;
}

void hand_out(Plan& result, const PlanRequest& request, std::vector<Place> places) {
  auto next = std::make_move_iterator(places.begin());
  for (const StageRequest& stage : request.stages) {
    const auto end = next + static_cast<std::ptrdiff_t>(stage.workers);
    result.stages.push_back({.name = stage.name, .workers = {next, end}});
    next = end;
  }
}

std::string counted(std::size_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

void remark_load(Plan& result, const Topology& topology, const Units& usable, std::size_t workers) {
  const std::string units =
      fmt::format("{} ({})", counted(usable.size(), "processing unit"), set_of(usable).to_string());
  if (workers > usable.size()) {
    result.remarks.push_back(fmt::format("{} share {}: none has one of its own, so none spins while it waits",
                                         counted(workers, "worker"), units));
  } else if (workers == usable.size()) {
    result.remarks.push_back(fmt::format(
        "{} on {} leave none for the host and the master: all share them, so no process spins while it waits",
        counted(workers, "worker"), units));
  }
  if (topology.quota_cores && *topology.quota_cores < static_cast<double>(workers + 1)) {
    result.remarks.push_back(
        fmt::format("CPU quota of {:.4g} cores is below the {} that {} and the host can keep busy: no "
                    "process spins while "
                    "it waits, and under full load the kernel pauses the pipeline in every period",
                    *topology.quota_cores, workers + 1, counted(workers, "worker")));
  }
}

void remark_units(Plan& result, const Topology& topology, const Units& usable, const Units& taken) {
  const CpuSet idle = topology.allowed() - set_of(usable);
  if (!idle.empty()) {
    result.remarks.push_back(
        fmt::format("isolated processing units {} are left alone; allow nothing else to have them used",
                    idle.to_string()));
  }
  std::set<int> cores;
  for (const ProcessingUnit& unit : taken)
    cores.insert(unit.core);
  if (cores.size() < taken.size()) {
    result.remarks.push_back(
        fmt::format("{} run on {}: SMT siblings carry a worker each and slow each other down",
                    counted(taken.size(), "worker"), counted(cores.size(), "core")));
  }
  int fastest = 0;
  for (const ProcessingUnit& unit : usable)
    fastest = std::max(fastest, unit.efficiency);
  const Units slower = select(taken, [&](const ProcessingUnit& unit) { return unit.efficiency < fastest; });
  if (!slower.empty()) {
    result.remarks.push_back(fmt::format("{} on a slower kind of core ({})", counted(slower.size(), "worker"),
                                         set_of(slower).to_string()));
  }
}

void remark_memory(Plan& result, const Topology& topology, const Units& usable) {
  std::set<int> refused;
  for (const ProcessingUnit& unit : usable) {
    if (unit.numa_node != kUnknown && !memory_allowed(topology, unit.numa_node)) {
      refused.insert(unit.numa_node);
    }
  }
  for (const int node : refused) {
    result.remarks.push_back(fmt::format(
        "memory of NUMA node {} is not allowed to this process: workers there use other nodes", node));
  }
}

}  // namespace

Plan plan(const Topology& topology, const PlanRequest& request) {
  const std::size_t workers = count_workers(request);
  const bool bind = request.policy != Policy::none;
  const Units usable = bind ? usable_units(topology)
                            : select(topology.units, [](const ProcessingUnit& unit) { return unit.allowed; });
  if (usable.empty()) refuse_plan("no processing unit is allowed", "widen the affinity mask or the cpuset");

  Plan result;
  result.policy = request.policy;
  const bool crowded = workers >= usable.size();  // The host has none of its own.
  const bool throttled = topology.quota_cores && *topology.quota_cores < static_cast<double>(workers + 1);
  result.oversubscribed = crowded || throttled;

  Units taken;
  if (!bind) {
    hand_out(result, request, {workers, place_on(topology, usable, result.oversubscribed)});
  } else if (crowded) {
    hand_out(result, request, shared_places(topology, usable, request.policy, workers));
  } else {
    taken = units_for_workers(usable, request.policy, workers);
    hand_out(result, request, own_places(topology, taken, throttled));
  }
  result.host = place_on(topology, left_over(usable, taken), result.oversubscribed);
  result.master = result.host;

  remark_load(result, topology, usable, workers);
  if (bind) remark_units(result, topology, usable, taken);
  remark_memory(result, topology, usable);
  return result;
}

}  // namespace sluice::pinning
