// SPDX-License-Identifier: Apache-2.0
#include "places.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/location.hpp>

#include "match.hpp"

namespace sluice::pinning {
namespace {

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
Units around(const ProcessingUnit& unit, const Units& usable) {
  if (unit.isolated) return {unit};
  return select(usable, [&](const ProcessingUnit& other) { return same_domain(unit, other); });
}

bool pins(Policy policy) {
  return policy != Policy::none && policy != Policy::floating;
}

// A stage that is placed before those that go wherever the policy puts them.
struct AskedPlace {
  std::size_t stage = 0;
  Location location{};
};

class Placer {
 public:
  Placer(const Topology& topology, const PlanRequest& request, const Usable& usable, const Talk& talk,
         const Distances& distances)
      : topology_{topology}, request_{request}, usable_{usable}, talk_{talk}, distances_{distances} {
    for (const StageRequest& stage : request.stages) {
      first_.push_back(result_.units.size());
      result_.units.resize(result_.units.size() + stage.workers);
    }
    result_.shared.assign(result_.units.size(), false);
  }

  WorkerPlaces run() {
    place_stages();
    std::vector<Seeker> seekers = seekers_of_rest();
    place_rest(seekers);
    mark_those_who_meet(result_, request_);
    return std::move(result_);
  }

 private:
  void add_seekers(std::size_t stage, std::vector<Seeker>& seekers) const;
  std::vector<Seeker> seekers_of_rest() const;
  void place_stages();
  void place_stage(const AskedPlace& asked, std::span<const AskedPlace> later);
  Units choose_beside(const std::vector<Seeker>& seekers, const Units& inside, const Units& usable,
                      std::span<const AskedPlace> later) const;
  std::vector<Want> wants_of(std::span<const AskedPlace> later) const;
  Units inside_of(const AskedPlace& asked) const;
  void remark_others(std::size_t stage);
  void place_whole(std::size_t stage, const Location& location);
  void place_rest(const std::vector<Seeker>& seekers);
  void group(const std::vector<Seeker>& seekers, const Units& usable);
  void deal(const std::vector<Seeker>& seekers, const Units& usable);
  void give(const std::vector<Seeker>& seekers, const Units& units);
  void leave(const std::vector<Seeker>& seekers);
  // Where somebody is at work already: workers that have their places, other pipelines, the host.
  Units held() const {
    Units held = units_in(topology_, usable_.of_others);
    held.insert(held.end(), result_.taken.begin(), result_.taken.end());
    held.insert(held.end(), result_.filled.begin(), result_.filled.end());
    return held;
  }
  Units beside_placed(const Units& units) const {
    return without(without(units, result_.taken), result_.filled);
  }
  ChoiceRequest choice(const Units& usable, const Units& held, const std::vector<Seeker>& seekers,
                       bool with_host) const {
    return {.usable = usable,
            .held = held,
            .seekers = seekers,
            .talk = talk_,
            .distances = distances_,
            .seated = result_.units,
            .seats_the_host = with_host && talk_.host_talks() && !request_.host,
            .most_nodes = request_.most_nodes};
  }

  const Topology& topology_;
  const PlanRequest& request_;
  const Usable& usable_;
  const Talk& talk_;
  const Distances& distances_;
  std::vector<std::size_t> first_;  // Worker of each stage.
  WorkerPlaces result_;
};

void Placer::add_seekers(std::size_t stage, std::vector<Seeker>& seekers) const {
  const StageRequest& asked = request_.stages[stage];
  for (unsigned replica = 0; replica < asked.workers; ++replica) {
    const double order = (replica + 0.5) / asked.workers;
    for (unsigned thread = 0; thread < std::max(1U, asked.threads); ++thread)
      seekers.push_back({.process = first_[stage] + replica, .order = order});
  }
}

std::vector<Seeker> Placer::seekers_of_rest() const {
  std::vector<Seeker> seekers;
  for (std::size_t stage = 0; stage < request_.stages.size(); ++stage) {
    if (result_.units[first_[stage]].empty()) add_seekers(stage, seekers);
  }
  return seekers;
}

void Placer::give(const std::vector<Seeker>& seekers, const Units& units) {
  for (std::size_t i = 0; i < seekers.size(); ++i)
    result_.units[seekers[i].process].push_back(units[i]);
  result_.taken.insert(result_.taken.end(), units.begin(), units.end());
}

// Stages with places of their own, the narrowest place first: the wider ones can go around it.
void Placer::place_stages() {
  std::vector<AskedPlace> asked;
  for (std::size_t stage = 0; stage < request_.stages.size(); ++stage) {
    const StageRequest& wanted = request_.stages[stage];
    if (!wanted.place.empty()) {
      asked.push_back({stage, parse_place(topology_, wanted.place, wanted.name)});
    } else if (wanted.threads > 1 && pins(request_.policy) && request_.policy != Policy::automatic) {
      // Compact and spread deal single units: a wide worker is placed before them.
      asked.push_back({stage, Location{.sets = {set_of(usable_.units)}}});
    }
  }
  std::stable_sort(asked.begin(), asked.end(), [](const AskedPlace& one, const AskedPlace& other) {
    return std::pair{one.location.whole, one.location.sets.front().count()} <
           std::pair{other.location.whole, other.location.sets.front().count()};
  });
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (asked[i].location.whole) {
      place_whole(asked[i].stage, asked[i].location);
    } else {
      place_stage(asked[i], std::span{asked}.subspan(i + 1));
    }
  }
}

// What of its place a stage may use: where one worker for each core is asked for, one unit of each core.
Units Placer::inside_of(const AskedPlace& asked) const {
  const Location& location = asked.location;
  Units inside = select(topology_.units, [&](const ProcessingUnit& unit) {
    return location.sets.front().contains(unit.os_index) && !request_.reserved.contains(unit.os_index);
  });
  if (inside.empty()) {
    throw Error{{.tried = "place the stage",
                 .object = request_.stages[asked.stage].name,
                 .why = fmt::format("all of its place {} is reserved", location.sets.front().to_string()),
                 .remedy = "reserve fewer units, or give it another place"}};
  }
  return request_.smt == Smt::never ? first_of_each_core(inside, {}) : inside;
}

// A place that a stage is given holds, whoever else is there; but that is said.
void Placer::remark_others(std::size_t stage) {
  CpuSet units;
  for (unsigned replica = 0; replica < request_.stages[stage].workers; ++replica)
    units |= set_of(result_.units[first_[stage] + replica]);
  const auto tell = [&](const CpuSet& theirs, std::string_view who) {
    if (!theirs.intersects(units)) return false;
    result_.remarks.push_back(fmt::format("{} shares {} with {}, as its place says",
                                          request_.stages[stage].name, (theirs & units).to_string(), who));
    return true;
  };
  bool met = request_.host && tell(*request_.host, "the host");
  for (const Claim& claim : request_.claims)
    met = tell(claim.units, claim.owner) || met;
  if (!met) return;
  for (unsigned replica = 0; replica < request_.stages[stage].workers; ++replica) {
    const std::size_t process = first_[stage] + replica;
    if (set_of(result_.units[process]).intersects(usable_.of_others)) result_.shared[process] = true;
  }
  result_.stage_shares = true;
}

// What the stages to come have to choose from; not those whose place is too small for them anyway.
std::vector<Want> Placer::wants_of(std::span<const AskedPlace> later) const {
  std::vector<Want> wants;
  for (const AskedPlace& asked : later) {
    if (asked.location.whole) continue;
    std::vector<Seeker> seekers;
    add_seekers(asked.stage, seekers);
    Units free = beside_placed(inside_of(asked));
    if (free.size() >= seekers.size()) wants.push_back({std::move(free), seekers.size()});
  }
  return wants;
}

// Where the policy would have the stage; but where that takes room from those to come, and the stage could go around
// them, without what they need.
Units Placer::choose_beside(const std::vector<Seeker>& seekers, const Units& inside, const Units& usable,
                            std::span<const AskedPlace> later) const {
  const Units held = this->held();
  Units chosen = choose_units(choice(usable, held, seekers, false)).units;
  std::vector<Want> wants = wants_of(later);
  const bool they_meet = std::any_of(wants.begin(), wants.end(), [&](const Want& want) {
    return without(inside, want.among).size() < inside.size();
  });
  if (!they_meet) return chosen;
  wants.push_back({chosen, seekers.size()});
  const double price = match(wants, held).price;
  wants.back().among = beside_placed(inside);
  const Matched matched = match(wants, held);
  if (matched.price >= price) return chosen;
  Units kept_free;
  for (std::size_t want = 0; want + 1 < wants.size(); ++want)
    kept_free.insert(kept_free.end(), matched.units[want].begin(), matched.units[want].end());
  Units left = without(usable, kept_free);
  if (left.size() < seekers.size()) left = without(beside_placed(inside), kept_free);
  if (left.size() < seekers.size()) return chosen;
  kept_free.insert(kept_free.end(), held.begin(), held.end());
  return choose_units(choice(left, kept_free, seekers, false)).units;
}

// Each worker a core inside the place, or all of them the whole of it where it has too few. Units of others are
// used if there is not enough beside them.
void Placer::place_stage(const AskedPlace& asked, std::span<const AskedPlace> later) {
  const std::size_t stage = asked.stage;
  if (!asked.location.not_allowed.empty()) {
    result_.remarks.push_back(fmt::format("of the place {} of {} this process may not use {}",
                                          request_.stages[stage].place, request_.stages[stage].name,
                                          asked.location.not_allowed.to_string()));
  }
  std::vector<Seeker> seekers;
  add_seekers(stage, seekers);
  const Units inside = inside_of(asked);
  Units usable = beside_placed(inside);
  if (Units beside = pinning::without(usable, usable_.of_others); beside.size() >= seekers.size())
    usable = std::move(beside);
  if (usable.size() >= seekers.size()) {
    give(seekers, choose_beside(seekers, inside, usable, later));
    remark_others(stage);
    return;
  }
  for (const Seeker& seeker : seekers) {
    result_.units[seeker.process] = inside;
    result_.shared[seeker.process] = true;
  }
  result_.filled.insert(result_.filled.end(), inside.begin(), inside.end());
  result_.stage_shares = true;
  result_.remarks.push_back(fmt::format(
      "{} wants {} units of its place {}, and has {} of them: its workers share these",
      request_.stages[stage].name, seekers.size(), asked.location.sets.front().to_string(), usable.size()));
  remark_others(stage);
}

// Each worker a whole core, cache, node or package, in turn.
void Placer::place_whole(std::size_t stage, const Location& location) {
  const StageRequest& wanted = request_.stages[stage];
  const auto beside = [&](const CpuSet& others) {
    std::vector<CpuSet> free;
    for (const CpuSet& set : location.sets) {
      if (!set.intersects(others)) free.push_back(set);
    }
    return free;
  };
  const CpuSet taken = set_of(result_.taken) | set_of(result_.filled) | request_.reserved;
  std::vector<CpuSet> free = beside(taken | usable_.of_others);
  if (free.size() < wanted.workers) free = beside(taken);
  const bool shared = free.size() < wanted.workers;
  if (free.empty()) free = beside(request_.reserved);
  if (free.empty()) {
    throw Error{{.tried = "place the stage",
                 .object = wanted.name,
                 .why = fmt::format("none of its {} is free of the reserved units {}", wanted.place,
                                    request_.reserved.to_string()),
                 .remedy = "reserve fewer units, or give it another place"}};
  }
  for (unsigned replica = 0; replica < wanted.workers; ++replica) {
    const CpuSet& set = free[replica % free.size()];
    const Units units =
        select(topology_.units, [&](const ProcessingUnit& unit) { return set.contains(unit.os_index); });
    result_.units[first_[stage] + replica] = units;
    result_.shared[first_[stage] + replica] = shared;
    Units& gone = shared ? result_.filled : result_.taken;
    gone.insert(gone.end(), units.begin(), units.end());
  }
  if (shared) {
    result_.stage_shares = true;
    result_.remarks.push_back(
        fmt::format("{} workers of {} share {} {}", wanted.workers, wanted.name, free.size(), wanted.place));
  }
  remark_others(stage);
}

// Policies that pin nothing: what has no place of its own floats beside what has.
void Placer::leave(const std::vector<Seeker>& seekers) {
  Units beside = beside_placed(usable_.units);
  if (beside.empty()) beside = usable_.units;
  for (const Seeker& seeker : seekers)
    result_.units[seeker.process] = beside;
  result_.crowded = seekers.size() >= beside.size();
}

// Each unit gets its share of the workers, those together that talk most; they float over the units around
// it.
void Placer::group(const std::vector<Seeker>& seekers, const Units& usable) {
  const Units held = this->held();
  ChoiceRequest asked = choice(usable, held, seekers, false);
  asked.groups_float = request_.grouping == Grouping::domain;
  const Choice chosen = choose_groups(asked);
  double inside = 0;
  double all = 0;
  for (std::size_t one = 0; one < seekers.size(); ++one) {
    for (std::size_t other = 0; other < one; ++other) {
      const double rate = talk_.between(seekers[one].process, seekers[other].process);
      all += rate;
      if (chosen.units[one].os_index == chosen.units[other].os_index) inside += rate;
    }
  }
  for (std::size_t i = 0; i < seekers.size(); ++i) {
    Units& units = result_.units[seekers[i].process];
    if (!units.empty()) continue;
    units = request_.grouping == Grouping::domain ? around(chosen.units[i], usable) : Units{chosen.units[i]};
    result_.shared[seekers[i].process] = true;
  }
  if (request_.grouping == Grouping::unit && all > 0) {
    result_.remarks.push_back(fmt::format(
        "workers that talk most share a unit: {:.0f} % of the events stay on theirs", 100 * inside / all));
  }
}

// In the order of the stages: compact gives runs of workers that follow each other to one unit, spread deals
// them in turn.
void Placer::deal(const std::vector<Seeker>& seekers, const Units& usable) {
  const Policy policy = request_.policy == Policy::spread ? Policy::spread : Policy::compact;
  const Units dealt = units_for_workers(usable, held(), policy, usable.size());
  for (std::size_t i = 0; i < seekers.size(); ++i) {
    const std::size_t index = policy == Policy::spread ? i % dealt.size() : i * dealt.size() / seekers.size();
    Units& units = result_.units[seekers[i].process];
    if (!units.empty()) continue;
    units = request_.grouping == Grouping::domain ? around(dealt[index], usable) : Units{dealt[index]};
    result_.shared[seekers[i].process] = true;
  }
}

void Placer::place_rest(const std::vector<Seeker>& seekers) {
  if (seekers.empty()) return;
  if (!pins(request_.policy)) return leave(seekers);
  Units usable = beside_placed(usable_.units);
  // Then all are shared with those that were placed before.
  if (usable.empty()) {
    result_.crowded = true;
    usable = usable_.units;
  }
  // A host that has no place of its own wants a unit, too.
  const bool host_apart = request_.host && !usable_.shared_with_others;
  const bool crowded = host_apart ? seekers.size() > usable.size() : seekers.size() >= usable.size();
  const bool searched = request_.policy == Policy::automatic && talk_.searched();
  if (crowded) {
    result_.crowded = true;
    if (searched) {
      group(seekers, usable);
    } else {
      deal(seekers, usable);
    }
    return;
  }
  if (!searched) {
    give(seekers, units_for_workers(usable, held(), request_.policy, seekers.size()));
    return;
  }
  const Units held = this->held();
  const Choice chosen = choose_units(choice(usable, held, seekers, true));
  result_.host_near = chosen.host;
  // Stages with places were seated before, one after the other: what is proved is the rest beside them.
  result_.optimal = chosen.optimal && result_.taken.empty() && result_.filled.empty();
  give(seekers, chosen.units);
}

}  // namespace

WorkerPlaces place_workers(const Topology& topology, const PlanRequest& request, const Usable& usable,
                           const Talk& talk, const Distances& distances) {
  return Placer{topology, request, usable, talk, distances}.run();
}

}  // namespace sluice::pinning
