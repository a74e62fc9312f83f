// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/location.hpp>

#include "lanes.hpp"
#include "usable.hpp"

namespace sluice::pinning {
namespace {

// A stage whose workers are to be counted.
struct Taker {
  std::size_t stage = 0;
  long threads = 1;  // Cores of one worker.
  long most = 0;     // Workers, where its place is of whole cores, caches or nodes.
  CpuSet place{};    // Where else it has to be; empty: anywhere.
  double load = 0;   // 0 where it is not known.
  long workers = 1;
};

long threads_of(const StageRequest& stage) {
  return static_cast<long>(std::max(1U, stage.threads));
}

// A place that stages have been given, and how many cores it has for all that have to be in it.
struct Room {
  CpuSet place{};
  long cores = 0;
};

long count_cores(const Units& units) {
  std::set<int> cores;
  for (const ProcessingUnit& unit : units)
    cores.insert(unit.core);
  return static_cast<long>(cores.size());
}

// How many whole things a place has that are not spoken for.
long wholes_in(const Location& location, const CpuSet& spoken_for) {
  return std::count_if(location.sets.begin(), location.sets.end(),
                       [&](const CpuSet& set) { return !set.intersects(spoken_for); });
}

// Beside others, unless they are on all of them.
long count_free_cores(const Units& units, const Units& held) {
  const long free = count_cores(on_free_cores(without(units, held), held));
  return free > 0 ? free : count_cores(units);
}

bool is_inside(const CpuSet& inner, const CpuSet& outer) {
  return !inner.empty() && (inner - outer).empty();
}

// Events a second that reach a stage, or that a source pushes; 0 where they were not measured.
double events_of(std::size_t stage, const std::vector<Flow>& flows) {
  const auto rate_of = [](const Flow& flow) {
    double sum = 0;
    for (const double rate : flow.lane_rates)
      sum += rate;
    return flow.lane_rates.empty() ? flow.rate : sum;
  };
  double in = 0;
  double out = 0;
  for (const Flow& flow : flows) {
    if (flow.to == stage) in += rate_of(flow);
    if (flow.from == stage) out += rate_of(flow);
  }
  return in > 0 ? in : out;
}

bool host_talks(const std::vector<Flow>& flows) {
  return std::any_of(flows.begin(), flows.end(),
                     [](const Flow& flow) { return flow.from == kHost || flow.to == kHost; });
}

// Cores for all workers together: of those that may be used, and that the quota grants.
long cores_for_workers(const Topology& topology, const PlanRequest& request, const Units& units,
                       const Units& held) {
  long most = count_free_cores(units, held);
  if (!request.host) {
    // The host's own; where its SMT siblings are left for it, only if it has something to do.
    const bool crowded = most >= static_cast<long>(units.size());
    if (crowded || host_talks(request.flows)) --most;
  }
  if (topology.quota_cores) most = std::min(most, static_cast<long>(*topology.quota_cores) - 1);
  return most;
}

// Takes a worker more of `taker` out of the rooms that it has to be in; false: one of them has no room for it.
bool takes_room(const Taker& taker, std::vector<Room>& rooms) {
  const auto concerns = [&taker](const Room& room) { return is_inside(taker.place, room.place); };
  if (std::any_of(rooms.begin(), rooms.end(),
                  [&](const Room& room) { return concerns(room) && room.cores < taker.threads; }))
    return false;
  for (Room& room : rooms) {
    if (concerns(room)) room.cores -= taker.threads;
  }
  return true;
}

// Each core to the stage whose workers have most to do; of equals, to the earlier one. `rooms`: what is left in each
// place by those whose workers were counted by hand.
void share_out(std::vector<Taker>& takers, long left, std::vector<Room> rooms) {
  for (const Taker& taker : takers) {
    left -= taker.threads;
    for (Room& room : rooms) {
      if (is_inside(taker.place, room.place)) room.cores -= taker.threads;
    }
  }
  std::vector<bool> is_full(takers.size(), false);
  while (true) {
    std::optional<std::size_t> neediest;
    for (std::size_t i = 0; i < takers.size(); ++i) {
      const Taker& taker = takers[i];
      if (is_full[i] || taker.threads > left || taker.workers >= taker.most) continue;
      if (!neediest || taker.load / static_cast<double>(taker.workers) >
                           takers[*neediest].load / static_cast<double>(takers[*neediest].workers))
        neediest = i;
    }
    if (!neediest) return;
    if (!takes_room(takers[*neediest], rooms)) {
      is_full[*neediest] = true;
      continue;
    }
    ++takers[*neediest].workers;
    left -= takers[*neediest].threads;
  }
}

// By what their workers had to do in an earlier run, else by the events that reach them, else alike: whatever is known of all.
void weigh(std::vector<Taker>& takers, const PlanRequest& request) {
  const auto weigh_by = [&takers](const auto& load_of) {
    bool known = true;
    for (Taker& taker : takers) {
      taker.load = load_of(taker.stage);
      known = known && taker.load > 0;
    }
    return known;
  };
  if (weigh_by([&](std::size_t stage) { return request.stages[stage].load; })) return;
  if (weigh_by([&](std::size_t stage) { return events_of(stage, request.flows); })) return;
  weigh_by([](std::size_t) { return 1.0; });
}

}  // namespace

PlanRequest with_cores(const Topology& topology, PlanRequest request) {
  const auto asks = [](const StageRequest& stage) { return stage.workers == kCores; };
  if (std::none_of(request.stages.begin(), request.stages.end(), asks)) return request;
  const Usable usable = usable_units(topology, request);
  const Units held = units_in(topology, usable.of_others);
  CpuSet units = set_of(usable.units);
  long fixed = 0;
  std::vector<Taker> takers;
  std::vector<Taker> counted;
  std::vector<Room> rooms;
  for (std::size_t stage = 0; stage < request.stages.size(); ++stage) {
    const StageRequest& asked = request.stages[stage];
    Taker taker{.stage = stage, .threads = threads_of(asked), .most = std::numeric_limits<long>::max()};
    if (!asked.place.empty()) {
      const Location location = parse_place(topology, asked.place, asked.name);
      if (location.whole) {
        taker.most = wholes_in(location, request.reserved | usable.of_others);
      } else {
        taker.place = location.sets.front() - request.reserved;
        rooms.push_back({taker.place, count_free_cores(units_in(topology, taker.place), held)});
      }
      // Isolated ones, for example, are there for those that name them.
      for (const CpuSet& set : location.sets)
        units |= set - request.reserved;
    }
    if (asks(asked)) {
      takers.push_back(taker);
    } else {
      taker.workers = static_cast<long>(asked.workers);
      fixed += taker.workers * taker.threads;
      counted.push_back(taker);
    }
  }
  for (const Taker& taker : counted) {
    for (Room& room : rooms) {
      if (is_inside(taker.place, room.place)) room.cores -= taker.workers * taker.threads;
    }
  }
  weigh(takers, request);
  share_out(takers, cores_for_workers(topology, request, units_in(topology, units), held) - fixed,
            std::move(rooms));
  for (const Taker& taker : takers)
    request.stages[taker.stage].workers = static_cast<unsigned>(taker.workers);
  return request;
}

}  // namespace sluice::pinning
