// SPDX-License-Identifier: Apache-2.0
// The proof that no assignment is cheaper: branch and bound.
//
// Parties are seated one after the other, those with much to say to the seated ones first. What a partial
// assignment will cost at least: what it costs already; for each party to come the cheapest domain with a
// free seat, as to its ties to those seated; and for the ties among those to come the shortest ways there
// are, of which only as many are inside a domain as the largest domain has seats.
#include <algorithm>
#include <limits>
#include <numeric>

#include "assign.hpp"

namespace sluice::pinning {
namespace {

constexpr double kNoGain = 1e-9;
// Beyond these a proof has no hope within any number of nodes that could be afforded.
constexpr std::size_t kMostParties = 24;
constexpr std::size_t kMostDomains = 64;
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

class Proof {
 public:
  Proof(const Seating& seating, Seated& best, std::uint64_t most_nodes)
      : seating_{seating}, best_{best}, left_{most_nodes}, free_{seating.seats} {
    order_parties();
    find_twins();
    find_alike_domains();
    bound_the_rest();
    for (std::size_t domain = 0; domain < seating.domains(); ++domain) {
      if (seating.must_be_full[domain]) to_fill_ += seating.seats[domain];
    }
    price_.assign(seating.parties() + 1, seating.price);
    domain_of_.assign(seating.parties(), kNone);
  }

  bool run() {
    descend(0, 0);
    return left_ > 0;
  }

 private:
  void order_parties();
  void find_twins();
  void find_alike_domains();
  void bound_the_rest();
  void descend(std::size_t depth, double cost);
  bool may_sit(std::size_t depth, std::size_t domain) const;
  double still_to_come(std::size_t depth) const;
  void look_ahead(std::size_t depth, std::size_t domain);

  const Seating& seating_;
  Seated& best_;
  std::uint64_t left_;
  std::vector<std::size_t> order_;        // Parties, by depth.
  std::vector<std::size_t> twin_before_;  // By depth: the party before it that is like it, or kNone.
  std::vector<std::vector<std::size_t>> alike_before_;  // By domain: those before it that are like it.
  std::vector<double> rest_;                            // By depth: ties among those to come, at least.
  std::vector<std::size_t> free_;
  std::size_t to_fill_ = 0;                 // Seats that must not stay empty and are.
  std::vector<std::vector<double>> price_;  // By depth: what each party pays in each domain.
  Seats domain_of_;
};

void Proof::order_parties() {
  std::vector<bool> taken(seating_.parties(), false);
  std::vector<double> to_taken(seating_.parties(), 0);
  std::vector<double> total(seating_.parties(), 0);
  for (std::size_t party = 0; party < seating_.parties(); ++party) {
    for (const Tie& tie : seating_.ties[party])
      total[party] += tie.weight;
  }
  while (order_.size() < seating_.parties()) {
    std::size_t next = kNone;
    for (std::size_t party = 0; party < seating_.parties(); ++party) {
      if (taken[party]) continue;
      if (next == kNone || to_taken[party] > to_taken[next] ||
          (to_taken[party] == to_taken[next] && total[party] > total[next]))
        next = party;
    }
    taken[next] = true;
    order_.push_back(next);
    for (const Tie& tie : seating_.ties[next])
      to_taken[tie.other] += tie.weight;
  }
}

// Two parties are twins if exchanging them changes nothing: then only one order of them is looked at.
void Proof::find_twins() {
  const std::size_t parties = seating_.parties();
  std::vector<double> dense(parties * parties, 0);
  for (std::size_t party = 0; party < parties; ++party) {
    for (const Tie& tie : seating_.ties[party])
      dense[party * parties + tie.other] += tie.weight;
  }
  const auto twins = [&](std::size_t one, std::size_t other) {
    for (std::size_t domain = 0; domain < seating_.domains(); ++domain) {
      if (seating_.price[one * seating_.domains() + domain] !=
          seating_.price[other * seating_.domains() + domain])
        return false;
    }
    for (std::size_t each = 0; each < parties; ++each) {
      if (each == one || each == other) continue;
      if (dense[one * parties + each] != dense[other * parties + each]) return false;
    }
    return true;
  };
  twin_before_.assign(parties, kNone);
  for (std::size_t depth = 0; depth < parties; ++depth) {
    for (std::size_t before = depth; before-- > 0 && twin_before_[depth] == kNone;) {
      if (twins(order_[depth], order_[before])) twin_before_[depth] = order_[before];
    }
  }
}

// Two empty domains are alike if exchanging them changes nothing: then only the first is tried.
void Proof::find_alike_domains() {
  const auto alike = [&](std::size_t one, std::size_t other) {
    if (seating_.seats[one] != seating_.seats[other]) return false;
    if (seating_.must_be_full[one] != seating_.must_be_full[other]) return false;
    if (seating_.way(one, one) != seating_.way(other, other)) return false;
    for (std::size_t each = 0; each < seating_.domains(); ++each) {
      if (each != one && each != other && seating_.way(one, each) != seating_.way(other, each)) return false;
    }
    for (std::size_t party = 0; party < seating_.parties(); ++party) {
      if (seating_.price[party * seating_.domains() + one] !=
          seating_.price[party * seating_.domains() + other])
        return false;
    }
    return true;
  };
  alike_before_.resize(seating_.domains());
  for (std::size_t domain = 0; domain < seating_.domains(); ++domain) {
    for (std::size_t before = 0; before < domain; ++before) {
      if (alike(domain, before)) alike_before_[domain].push_back(before);
    }
  }
}

void Proof::bound_the_rest() {
  double inside = std::numeric_limits<double>::max();
  double between = inside;
  std::size_t largest = 1;
  for (std::size_t one = 0; one < seating_.domains(); ++one) {
    largest = std::max(largest, seating_.seats[one]);
    if (seating_.seats[one] > 1) inside = std::min(inside, seating_.way(one, one));
    for (std::size_t other = 0; other < seating_.domains(); ++other) {
      if (other != one) between = std::min(between, seating_.way(one, other));
    }
  }
  inside = std::min(inside, between);
  rest_.assign(seating_.parties() + 1, 0);
  std::vector<bool> to_come(seating_.parties(), false);
  for (std::size_t depth = seating_.parties(); depth-- > 0;) {
    to_come[order_[depth]] = true;
    for (std::size_t later = depth; later < seating_.parties(); ++later) {
      std::vector<double> weights;
      for (const Tie& tie : seating_.ties[order_[later]]) {
        if (to_come[tie.other]) weights.push_back(tie.weight);
      }
      std::sort(weights.begin(), weights.end(), std::greater<>{});
      for (std::size_t i = 0; i < weights.size(); ++i)
        rest_[depth] += weights[i] * (i + 1 < largest ? inside : between) / 2;
    }
  }
}

bool Proof::may_sit(std::size_t depth, std::size_t domain) const {
  if (free_[domain] == 0) return false;
  // Those to come must suffice for the seats that must not stay empty.
  const std::size_t to_come = seating_.parties() - depth;
  if (!seating_.must_be_full[domain] && to_fill_ >= to_come) return false;
  const std::size_t twin = twin_before_[depth];
  if (twin != kNone && domain_of_[twin] > domain) return false;
  if (free_[domain] != seating_.seats[domain]) return true;
  return std::none_of(alike_before_[domain].begin(), alike_before_[domain].end(),
                      [&](std::size_t before) { return free_[before] == seating_.seats[before]; });
}

double Proof::still_to_come(std::size_t depth) const {
  double sum = rest_[depth];
  for (std::size_t later = depth; later < seating_.parties(); ++later) {
    double cheapest = std::numeric_limits<double>::max();
    for (std::size_t domain = 0; domain < seating_.domains(); ++domain) {
      if (free_[domain] > 0)
        cheapest = std::min(cheapest, price_[depth][order_[later] * seating_.domains() + domain]);
    }
    sum += cheapest;
  }
  return sum;
}

// What those to come pay once the party of this depth sits in `domain`.
void Proof::look_ahead(std::size_t depth, std::size_t domain) {
  std::vector<double>& next = price_[depth + 1];
  next = price_[depth];
  for (const Tie& tie : seating_.ties[order_[depth]]) {
    for (std::size_t each = 0; each < seating_.domains(); ++each)
      next[tie.other * seating_.domains() + each] += tie.weight * seating_.way(domain, each);
  }
}

void Proof::descend(std::size_t depth, double cost) {
  if (left_ == 0) return;
  --left_;
  if (depth == seating_.parties()) {
    if (cost < best_.cost * (1 - kNoGain)) {
      best_.cost = cost;
      best_.domain_of = domain_of_;
    }
    return;
  }
  const std::size_t party = order_[depth];
  std::vector<std::size_t> domains;
  for (std::size_t domain = 0; domain < seating_.domains(); ++domain) {
    if (may_sit(depth, domain)) domains.push_back(domain);
  }
  const double* prices = &price_[depth][party * seating_.domains()];
  std::stable_sort(domains.begin(), domains.end(),
                   [&](std::size_t a, std::size_t b) { return prices[a] < prices[b]; });
  for (const std::size_t domain : domains) {
    const double next = cost + price_[depth][party * seating_.domains() + domain];
    domain_of_[party] = domain;
    --free_[domain];
    if (seating_.must_be_full[domain]) --to_fill_;
    look_ahead(depth, domain);
    if (next + still_to_come(depth + 1) < best_.cost * (1 - kNoGain)) descend(depth + 1, next);
    if (seating_.must_be_full[domain]) ++to_fill_;
    ++free_[domain];
    domain_of_[party] = kNone;
  }
}

}  // namespace

bool prove(const Seating& seating, Seated& best, std::uint64_t most_nodes) {
  if (seating.parties() > kMostParties || seating.domains() > kMostDomains) return false;
  return Proof{seating, best, most_nodes}.run();
}

}  // namespace sluice::pinning
