// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/distance.hpp>
#include <sluice/pinning/plan.hpp>

#include "lanes.hpp"
#include "memory_node.hpp"
#include "order.hpp"
#include "places.hpp"
#include "price.hpp"
#include "remarks.hpp"
#include "usable.hpp"

namespace sluice::pinning {
namespace {

[[noreturn]] void refuse_plan(std::string why, std::string remedy) {
  throw Error{
      {.tried = "place the pipeline", .object = {}, .why = std::move(why), .remedy = std::move(remedy)}};
}

std::size_t count_workers(const PlanRequest& request) {
  constexpr std::uint64_t kMostThreads = std::uint64_t{1} << 20;
  std::size_t workers = 0;
  std::uint64_t threads = 0;
  for (const StageRequest& stage : request.stages) {
    if (stage.workers == 0) {
      refuse_plan(fmt::format("stage \"{}\" has no workers", stage.name), "give it at least one");
    }
    workers += stage.workers;
    threads += std::uint64_t{stage.workers} * std::max(stage.threads, 1U);
  }
  if (threads > kMostThreads) {
    refuse_plan(fmt::format("its workers have {} threads, and {} are the most", threads, kMostThreads),
                "give its stages fewer workers or threads");
  }
  return workers;
}

Place place_on(const Topology& topology, const Units& units, bool shared) {
  Place place{
      .units = set_of(units), .numa_node = memory_node(topology, units.front().numa_node), .shared = shared};
  const bool agreed = std::all_of(units.begin(), units.end(), [&](const ProcessingUnit& unit) {
    return memory_node(topology, unit.numa_node) == place.numa_node;
  });
  if (!agreed) place.numa_node = kUnknown;
  return place;
}

// What is left for host and master, by the preferences that plan.hpp states; all units if nothing is left.
Units left_over(const Units& usable, const Units& taken, const Units& of_others,
                const ProcessingUnit* near_to) {
  const CpuSet units_taken = set_of(taken);
  std::set<int> cores_taken;
  for (const ProcessingUnit& unit : taken)
    cores_taken.insert(unit.core);
  for (const ProcessingUnit& unit : of_others)
    cores_taken.insert(unit.core);
  Units left =
      select(usable, [&](const ProcessingUnit& unit) { return !units_taken.contains(unit.os_index); });
  if (left.empty()) return usable;
  const auto core_is_free = [&](const ProcessingUnit& unit) { return !cores_taken.contains(unit.core); };
  if (Units cores = select(left, core_is_free); !cores.empty()) left = std::move(cores);
  if (near_to == nullptr) return left;
  const auto is_near = [&](const ProcessingUnit& unit) {
    return unit.package == near_to->package && unit.numa_node == near_to->numa_node;
  };
  if (Units near = select(left, is_near); !near.empty()) return near;
  return left;
}

void hand_out(Plan& result, const Topology& topology, const PlanRequest& request, const WorkerPlaces& places,
              bool all_share) {
  std::size_t worker = 0;
  for (const StageRequest& stage : request.stages) {
    StagePlan placed{.name = stage.name};
    for (unsigned replica = 0; replica < stage.workers; ++replica, ++worker) {
      const bool shared = all_share || places.shared[worker];
      placed.workers.push_back(place_on(topology, places.units[worker], shared));
    }
    result.stages.push_back(std::move(placed));
  }
}

void place_host(Plan& result, const Topology& topology, const PlanRequest& request, const Usable& usable,
                const WorkerPlaces& places) {
  const ProcessingUnit* near_to = places.taken.empty() ? nullptr : &places.taken.front();
  if (places.host_near) near_to = &*places.host_near;
  Units gone = places.taken;
  gone.insert(gone.end(), places.filled.begin(), places.filled.end());
  result.host =
      place_on(topology, left_over(usable.for_host, gone, units_in(topology, usable.of_others), near_to),
               result.oversubscribed);
  result.master = result.host;
  if (!request.host) return;
  const Units own = select(topology.units,
                           [&](const ProcessingUnit& unit) { return request.host->contains(unit.os_index); });
  if (!own.empty()) result.host = place_on(topology, own, result.oversubscribed);
}

}  // namespace

Plan plan(const Topology& topology, const PlanRequest& asked_for) {
  const PlanRequest request = with_cores(topology, asked_for);
  const std::size_t workers = count_workers(request);
  const std::vector<Flow> flows = flows_of(request);
  const std::vector<RequestedLane> lanes = lanes_of(request, flows);
  const Distances distances{topology, request.costs};
  const Talk talk{workers, lanes};
  const bool bind = request.policy != Policy::none && request.policy != Policy::floating;
  const bool asked = std::any_of(request.stages.begin(), request.stages.end(),
                                 [](const StageRequest& stage) { return !stage.place.empty(); });
  const Usable usable = usable_units(topology, request);

  Plan result;
  result.policy = request.policy;
  result.remarks = usable.remarks;
  WorkerPlaces places;
  if (bind || asked) {
    places = place_workers(topology, request, usable, talk, distances);
  } else {
    places.units.assign(workers, usable.units);
    places.shared.assign(workers, false);
    places.crowded = workers >= usable.units.size();
  }
  const std::size_t threads = threads_at_work(request, topology.quota_cores);
  const bool throttled = topology.quota_cores && *topology.quota_cores < static_cast<double>(threads + 1);
  const bool all_share = places.crowded || throttled || usable.shared_with_others;
  result.oversubscribed = all_share || places.stage_shares;
  result.optimal = places.optimal;
  result.measured_costs = distances.measured();
  hand_out(result, topology, request, places, all_share);
  place_host(result, topology, request, usable, places);

  if (places.crowded || !usable.shared_with_others) remark_load(result, topology, request, usable.units);
  result.remarks.insert(result.remarks.end(), places.remarks.begin(), places.remarks.end());
  if (bind || asked) {
    remark_units(result, usable.units, places.taken, units_in(topology, usable.of_others));
  }
  remark_memory(result, topology, usable.units);
  remark_costs(result, request.costs);
  remark_threads(result, request, topology);
  remark_wide_workers(result, request, topology);
  price(result, request, flows, lanes, distances);
  return result;
}

}  // namespace sluice::pinning
