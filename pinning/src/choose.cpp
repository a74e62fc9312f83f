// SPDX-License-Identifier: Apache-2.0
#include "choose.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "assign.hpp"

namespace sluice::pinning {

Talk::Talk(std::size_t workers, const std::vector<RequestedLane>& lanes) : workers_{workers} {
  if (searched()) with_.assign((workers + 1) * (workers + 1), 0);
  for (const RequestedLane& lane : lanes) {
    const std::size_t from = lane.from == kHost ? workers : lane.from;
    const std::size_t to = lane.to == kHost ? workers : lane.to;
    if (from == to) continue;
    host_talks_ |= from == workers || to == workers;
    total_ += lane.rate;
    if (!searched()) continue;
    with_[from * (workers + 1) + to] += lane.rate;
    with_[to * (workers + 1) + from] += lane.rate;
  }
}

// Turns units into domains of seats, and processes into parties with ties.
class SeatingBuilder {
 public:
  explicit SeatingBuilder(const ChoiceRequest& request) : request_{request} {}

  // The units of a whole number of tiers: all of them are filled but for the last.
  void take_tiers();
  // Every unit for itself, with its share of the parties.
  void take_shares();
  Seated solve();
  Choice choice(const Seated& seated) const;

 private:
  void add_unit(const ProcessingUnit& unit, bool apart, bool must_be_full, std::size_t seats);
  void measure_domains();
  void tie_parties();
  void price_seated();
  void keep_host_off_full_domains();
  Seats start(const std::vector<std::size_t>& parties, const Seats& seats) const;
  std::vector<Seats> starts() const;
  Seats domains_of(const Units& units) const;
  std::size_t parties() const { return request_.seekers.size() + (host_sits_ ? 1 : 0); }
  std::size_t process_of(std::size_t party) const {
    return party < request_.seekers.size() ? request_.seekers[party].process : request_.talk.host();
  }

  const ChoiceRequest& request_;
  Seating seating_;
  std::vector<Units> members_;  // Of each domain.
  bool host_sits_ = false;
  bool shares_ = false;
};

namespace {

bool some_share_a_core(const Units& units) {
  std::set<int> cores;
  return std::any_of(units.begin(), units.end(),
                     [&](const ProcessingUnit& unit) { return !cores.insert(unit.core).second; });
}

bool one_neighbourhood(const ProcessingUnit& left, const ProcessingUnit& right) {
  return left.package == right.package && left.numa_node == right.numa_node && left.l3 == right.l3 &&
         left.l2 == right.l2;
}

}  // namespace

// Units that are alike for everybody else are seats of one domain; `apart` says that this one is like no
// other.
void SeatingBuilder::add_unit(const ProcessingUnit& unit, bool apart, bool must_be_full, std::size_t seats) {
  std::size_t domain = members_.size();
  for (std::size_t each = 0; each < members_.size() && !apart && domain == members_.size(); ++each) {
    const ProcessingUnit& first = members_[each].front();
    const bool alike = seating_.must_be_full[each] == must_be_full && first.efficiency == unit.efficiency &&
                       one_neighbourhood(first, unit);
    if (shares_ ? same_domain(first, unit) : alike) domain = each;
  }
  if (domain == members_.size()) {
    members_.emplace_back();
    seating_.seats.push_back(0);
    seating_.must_be_full.push_back(must_be_full);
  }
  members_[domain].push_back(unit);
  seating_.seats[domain] += seats;
}

void SeatingBuilder::take_tiers() {
  std::vector<Units> taken;
  std::vector<bool> full;
  std::size_t seats = 0;
  Units all;
  for (Units& tier : tiers(request_.usable, request_.held)) {
    if (seats >= request_.seekers.size()) break;
    seats += tier.size();
    all.insert(all.end(), tier.begin(), tier.end());
    full.push_back(seats <= request_.seekers.size());
    taken.push_back(std::move(tier));
  }
  // The host never pushes a worker to a worse kind of unit.
  host_sits_ = request_.seats_the_host && seats > request_.seekers.size();
  // Where lines were measured, every unit has ways of its own; where siblings are used, every core has.
  const bool apart = request_.distances.measured() || some_share_a_core(all);
  for (std::size_t tier = 0; tier < taken.size(); ++tier) {
    for (const ProcessingUnit& unit : taken[tier])
      add_unit(unit, apart, full[tier], 1);
  }
}

void SeatingBuilder::take_shares() {
  shares_ = true;
  const std::size_t units = request_.usable.size();
  const std::size_t each = request_.seekers.size() / units;
  std::size_t more = request_.seekers.size() % units;
  for (const Units& tier : tiers(request_.usable, request_.held)) {
    for (const ProcessingUnit& unit : tier) {
      const std::size_t seats = each + (more > 0 ? 1 : 0);
      if (more > 0) --more;
      if (seats > 0) add_unit(unit, !request_.groups_float || unit.isolated, true, seats);
    }
  }
}

void SeatingBuilder::measure_domains() {
  const std::size_t domains = members_.size();
  seating_.distance.assign(domains * domains, 0);
  for (std::size_t from = 0; from < domains; ++from) {
    for (std::size_t to = 0; to < domains; ++to) {
      double way = 0;
      if (from != to) way = request_.distances.between(members_[from].front(), members_[to].front());
      if (from == to && members_[from].size() > 1)
        way = request_.distances.between(members_[from][0], members_[from][1]);
      // Those who float over some units are on one of them at times.
      const auto units = static_cast<double>(members_[from].size());
      if (from == to && shares_) way *= (units - 1) / units;
      seating_.distance[from * domains + to] = way;
    }
  }
}

void SeatingBuilder::tie_parties() {
  std::vector<std::vector<std::size_t>> parties_of(request_.talk.host() + 1);
  for (std::size_t party = 0; party < parties(); ++party)
    parties_of[process_of(party)].push_back(party);
  // Threads of one worker stay together, whatever that costs the lanes.
  const double bond = 1 + request_.talk.total();
  seating_.ties.resize(parties());
  for (std::size_t party = 0; party < parties(); ++party) {
    const std::size_t process = process_of(party);
    for (const std::size_t sibling : parties_of[process]) {
      if (sibling != party) seating_.ties[party].push_back({sibling, bond});
    }
    for (std::size_t other = 0; other <= request_.talk.host(); ++other) {
      const double rate = request_.talk.between(process, other);
      if (rate == 0) continue;
      const auto threads = static_cast<double>(parties_of[other].size() * parties_of[process].size());
      for (const std::size_t peer : parties_of[other])
        seating_.ties[party].push_back({peer, rate / threads});
    }
  }
}

// What lies between a domain and the processes that have a place already.
void SeatingBuilder::price_seated() {
  const std::size_t domains = members_.size();
  seating_.price.assign(parties() * domains, 0);
  for (std::size_t process = 0; process < request_.seated.size(); ++process) {
    const Units& units = request_.seated[process];
    if (units.empty()) continue;
    std::vector<double> way(domains, 0);
    for (std::size_t domain = 0; domain < domains; ++domain) {
      for (const ProcessingUnit& unit : units)
        way[domain] += request_.distances.between(members_[domain].front(), unit);
      way[domain] /= static_cast<double>(units.size());
    }
    std::map<std::size_t, double> threads;
    for (std::size_t party = 0; party < parties(); ++party)
      threads[process_of(party)] += 1;
    for (std::size_t party = 0; party < parties(); ++party) {
      const double rate = request_.talk.between(process_of(party), process);
      for (std::size_t domain = 0; rate > 0 && domain < domains; ++domain)
        seating_.price[party * domains + domain] += rate * way[domain] / threads[process_of(party)];
    }
  }
}

void SeatingBuilder::keep_host_off_full_domains() {
  const std::size_t domains = members_.size();
  double longest = 1;
  for (const double way : seating_.distance)
    longest = std::max(longest, way);
  const double forbidden = 1000 * longest * (1 + request_.talk.total());
  for (std::size_t domain = 0; domain < domains; ++domain) {
    if (seating_.must_be_full[domain]) seating_.price[(parties() - 1) * domains + domain] += forbidden;
  }
}

Seats SeatingBuilder::domains_of(const Units& units) const {
  std::map<unsigned, std::size_t> domain_of_unit;
  for (std::size_t domain = 0; domain < members_.size(); ++domain) {
    for (const ProcessingUnit& unit : members_[domain])
      domain_of_unit[unit.os_index] = domain;
  }
  Seats domains;
  std::vector<std::size_t> met(members_.size(), 0);
  for (const ProcessingUnit& unit : units) {
    const std::size_t domain = domain_of_unit.at(unit.os_index);
    const std::size_t seats = seating_.seats[domain];
    const std::size_t all = members_[domain].size();
    const std::size_t before = met[domain]++;
    domains.insert(domains.end(), shares_ ? seats * (before + 1) / all - seats * before / all : 1, domain);
  }
  return domains;
}

// The parties in that order take the seats in their order. The host, who is the last party, gets one that may
// stay empty.
Seats SeatingBuilder::start(const std::vector<std::size_t>& order, const Seats& seats) const {
  Seats domain_of(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    domain_of[order[i]] = seats[i];
  if (host_sits_ && seating_.must_be_full[domain_of.back()]) {
    const auto loose = std::find_if(domain_of.begin(), domain_of.end(),
                                    [&](std::size_t domain) { return !seating_.must_be_full[domain]; });
    if (loose != domain_of.end()) std::iter_swap(loose, domain_of.end() - 1);
  }
  return domain_of;
}

std::vector<Seats> SeatingBuilder::starts() const {
  std::vector<std::size_t> by_stage(parties());
  std::iota(by_stage.begin(), by_stage.end(), 0U);
  std::vector<std::size_t> by_share = by_stage;  // Of each stage its first part, then of each its second.
  const auto order = [&](std::size_t party) {
    return party < request_.seekers.size() ? request_.seekers[party].order : 0.0;
  };
  std::stable_sort(by_share.begin(), by_share.end(),
                   [&](std::size_t a, std::size_t b) { return order(a) < order(b); });
  std::vector<Seats> starts;
  for (const Policy policy : {Policy::compact, Policy::spread}) {
    const std::size_t count = shares_ ? request_.usable.size() : parties();
    const Seats seats = domains_of(units_for_workers(request_.usable, request_.held, policy, count));
    starts.push_back(start(by_stage, seats));
    starts.push_back(start(by_share, seats));
  }
  for (const bool roomy : {false, true}) {
    const std::size_t most_grown = parties() > 64 ? 2 : 8;
    const std::size_t step = std::max<std::size_t>(1, members_.size() / most_grown);
    for (std::size_t first = 0; first < members_.size(); first += step)
      starts.push_back(grow(seating_, first, roomy));
  }
  return starts;
}

Seated SeatingBuilder::solve() {
  measure_domains();
  tie_parties();
  price_seated();
  if (host_sits_) keep_host_off_full_domains();
  return seat(seating_, starts(), request_.most_nodes);
}

Choice SeatingBuilder::choice(const Seated& seated) const {
  Choice chosen{.optimal = seated.optimal};
  std::vector<std::size_t> next(members_.size(), 0);
  for (std::size_t party = 0; party < parties(); ++party) {
    const std::size_t domain = seated.domain_of[party];
    const ProcessingUnit& unit = members_[domain][next[domain] % members_[domain].size()];
    ++next[domain];
    if (party < request_.seekers.size()) {
      chosen.units.push_back(unit);
    } else {
      chosen.host = unit;
    }
  }
  return chosen;
}

Choice choose_units(const ChoiceRequest& request) {
  SeatingBuilder builder{request};
  builder.take_tiers();
  return builder.choice(builder.solve());
}

Choice choose_groups(const ChoiceRequest& request) {
  SeatingBuilder builder{request};
  builder.take_shares();
  return builder.choice(builder.solve());
}

}  // namespace sluice::pinning
