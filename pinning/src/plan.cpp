// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/distance.hpp>
#include <sluice/pinning/plan.hpp>

#include "lanes.hpp"
#include "memory_node.hpp"
#include "order.hpp"
#include "remarks.hpp"
#include "usable.hpp"

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

Place place_on(const Topology& topology, const Units& units, bool shared) {
  Place place{
      .units = set_of(units), .numa_node = memory_node(topology, units.front().numa_node), .shared = shared};
  const bool agreed = std::all_of(units.begin(), units.end(), [&](const ProcessingUnit& unit) {
    return memory_node(topology, unit.numa_node) == place.numa_node;
  });
  if (!agreed) place.numa_node = kUnknown;
  return place;
}

// Where the workers run if each has a unit of its own.
std::vector<Place> own_places(const Topology& topology, const Units& dealt, bool shared) {
  std::vector<Place> places;
  places.reserve(dealt.size());
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

// Distances between places, asked once for every two places that differ: workers that float share one.
class Ways {
 public:
  Ways(const Distances& distances, std::vector<Place> places) : distances_{distances} {
    for (Place& place : places) {
      const auto known = std::find(distinct_.begin(), distinct_.end(), place);
      number_.push_back(static_cast<std::size_t>(known - distinct_.begin()));
      if (known == distinct_.end()) distinct_.push_back(std::move(place));
    }
    asked_.assign(distinct_.size() * distinct_.size(), -1.0);
  }

  double between(std::size_t from, std::size_t to) {
    double& known = asked_[number_[from] * distinct_.size() + number_[to]];
    if (known < 0) known = distances_.between(distinct_[number_[from]], distinct_[number_[to]]);
    return known;
  }

 private:
  const Distances& distances_;
  std::vector<Place> distinct_;
  std::vector<std::size_t> number_;  // Of each process's place.
  std::vector<double> asked_;
};

// Adds the lanes, what they cost and where their memory is. The host is the process behind the workers.
void price(Plan& result, const PlanRequest& request, const Distances& distances) {
  std::vector<Place> places;
  for (std::size_t stage = 0; stage < result.stages.size(); ++stage) {
    for (const Place& place : result.stages[stage].workers) {
      places.push_back(place);
      result.memory_bytes[place.numa_node] += request.stages[stage].region_bytes;
    }
  }
  const std::size_t host = places.size();
  places.push_back(result.host);
  const auto process = [&](std::size_t end) { return end == kHost ? host : end; };
  Ways ways{distances, places};
  const std::vector<Flow> flows = flows_of(request);
  for (const RequestedLane& lane : lanes_of(request, flows)) {
    LanePlan priced{.flow = lane.flow, .from = lane.from, .to = lane.to, .rate = lane.rate};
    priced.numa_node = places[process(lane.to)].numa_node;
    priced.distance = ways.between(process(lane.from), process(lane.to));
    result.cost += priced.rate * priced.distance;
    result.memory_bytes[priced.numa_node] += flows[lane.flow].lane_bytes;
    result.lanes.push_back(priced);
  }
}

}  // namespace

Plan plan(const Topology& topology, const PlanRequest& request) {
  const std::size_t workers = count_workers(request);
  const bool bind = request.policy != Policy::none && request.policy != Policy::floating;
  Usable ground = usable_units(topology, request);
  const Units& usable = ground.units;

  Plan result;
  result.policy = request.policy;
  result.remarks = std::move(ground.remarks);
  const bool host_apart = request.host && !ground.shared_with_others;
  // A host that is not bound elsewhere wants one of its own, too.
  const bool crowded = host_apart ? workers > usable.size() : workers >= usable.size();
  const bool throttled = topology.quota_cores && *topology.quota_cores < static_cast<double>(workers + 1);
  result.oversubscribed = crowded || throttled || ground.shared_with_others;

  Units taken;
  if (!bind) {
    hand_out(result, request, {workers, place_on(topology, usable, result.oversubscribed)});
  } else if (crowded) {
    hand_out(result, request, shared_places(topology, usable, request.policy, workers));
  } else {
    taken = units_for_workers(usable, request.policy, workers);
    hand_out(result, request, own_places(topology, taken, result.oversubscribed));
  }
  result.host = place_on(topology, left_over(ground.for_host, taken), result.oversubscribed);
  result.master = result.host;
  if (request.host) {
    const Units own = select(
        topology.units, [&](const ProcessingUnit& unit) { return request.host->contains(unit.os_index); });
    if (!own.empty()) result.host = place_on(topology, own, result.oversubscribed);
  }

  if (crowded || !ground.shared_with_others) remark_load(result, topology, usable, workers);
  if (bind) remark_units(result, usable, taken);
  remark_memory(result, topology, usable);
  price(result, request, Distances{topology, request.costs});
  return result;
}

}  // namespace sluice::pinning
