// SPDX-License-Identifier: Apache-2.0
#include "assign.hpp"

#include <algorithm>
#include <utility>

namespace sluice::pinning {
namespace {

// Sums of products in another order differ in their last bits: a gain below this share of the cost is none.
constexpr double kNoGain = 1e-9;

// Always the same numbers. Source: Knuth's MMIX, The Art of Computer Programming, volume 2.
class Numbers {
 public:
  std::size_t below(std::size_t bound) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>((state_ >> 33U) % bound);
  }

 private:
  std::uint64_t state_ = 1;
};

class LocalSearch {
 public:
  LocalSearch(const Seating& seating, Seats& domain_of)
      : seating_{seating}, domain_of_{domain_of}, price_{seating.price}, free_{seating.seats} {
    for (std::size_t party = 0; party < seating.parties(); ++party) {
      --free_[domain_of[party]];
      for (const Tie& tie : seating.ties[party])
        add(party, domain_of[tie.other], tie.weight);
    }
    least_ = kNoGain * cost_of(seating, domain_of);
  }

  std::uint64_t run() {
    // Every pass makes the cost smaller, so that they end; the bound is for a machine with rounding of its
    // own.
    constexpr int kMostPasses = 200;
    bool better = true;
    for (int pass = 0; better && pass < kMostPasses; ++pass) {
      better = false;
      for (std::size_t party = 0; party < seating_.parties(); ++party)
        better |= move_or_swap(party);
    }
    return steps_;
  }

 private:
  double& at(std::size_t party, std::size_t domain) { return price_[party * seating_.domains() + domain]; }

  // A neighbour of that weight sits in `domain`: what each domain costs the party then.
  void add(std::size_t party, std::size_t domain, double weight) {
    for (std::size_t each = 0; each < seating_.domains(); ++each)
      at(party, each) += weight * seating_.way(domain, each);
    steps_ += seating_.domains();
  }

  void put(std::size_t party, std::size_t domain) {
    const std::size_t from = std::exchange(domain_of_[party], domain);
    for (const Tie& tie : seating_.ties[party]) {
      for (std::size_t each = 0; each < seating_.domains(); ++each)
        at(tie.other, each) += tie.weight * (seating_.way(domain, each) - seating_.way(from, each));
    }
    steps_ += seating_.domains() * seating_.ties[party].size();
  }

  double gain_of_move(std::size_t party, std::size_t domain) {
    // What it leaves and where it goes may lie together: the party is no neighbour of itself, so all is
    // counted.
    return at(party, domain_of_[party]) - at(party, domain);
  }

  // The change for both, with their own tie taken out: its length stays what it is.
  double gain_of_swap(std::size_t one, std::size_t other, double tie) {
    const std::size_t a = domain_of_[one];
    const std::size_t b = domain_of_[other];
    const double naive = at(one, a) - at(one, b) + at(other, b) - at(other, a);
    return naive - tie * (2 * seating_.way(a, b) - seating_.way(a, a) - seating_.way(b, b));
  }

  bool move_or_swap(std::size_t party) {
    double best = least_;
    std::size_t partner = seating_.parties();
    std::size_t target = seating_.domains();
    const std::size_t own = domain_of_[party];
    if (!seating_.must_be_full[own]) {
      for (std::size_t domain = 0; domain < seating_.domains(); ++domain) {
        if (domain == own || free_[domain] == 0) continue;
        if (const double gain = gain_of_move(party, domain); gain > best) best = gain, target = domain;
      }
    }
    tie_to_.assign(seating_.parties(), 0);
    for (const Tie& tie : seating_.ties[party])
      tie_to_[tie.other] += tie.weight;
    for (std::size_t other = 0; other < seating_.parties(); ++other) {
      if (domain_of_[other] == own) continue;
      if (const double gain = gain_of_swap(party, other, tie_to_[other]); gain > best)
        best = gain, partner = other;
    }
    steps_ += seating_.parties();
    if (partner < seating_.parties()) {
      const std::size_t there = domain_of_[partner];
      put(party, there);
      put(partner, own);
      return true;
    }
    if (target == seating_.domains()) return false;
    ++free_[own];
    --free_[target];
    put(party, target);
    return true;
  }

  const Seating& seating_;
  Seats& domain_of_;
  std::vector<double> price_;      // What each party would pay in each domain, as all others sit.
  std::vector<std::size_t> free_;  // Seats of each domain.
  std::vector<double> tie_to_;     // Of the party that is looked at.
  double least_ = 0;
  std::uint64_t steps_ = 0;
};

// Some parties change places, whatever that costs.
void shake(Numbers& numbers, Seats& domain_of, std::size_t swaps) {
  for (std::size_t swap = 0; swap < swaps; ++swap)
    std::swap(domain_of[numbers.below(domain_of.size())], domain_of[numbers.below(domain_of.size())]);
}

void shake_and_improve(const Seating& seating, Seated& best) {
  constexpr std::uint64_t kMostSteps = 4'000'000;  // Some ten milliseconds.
  constexpr int kMostVain = 60;
  Numbers numbers;
  std::uint64_t steps = 0;
  for (int vain = 0; vain < kMostVain && steps < kMostSteps; ++vain) {
    Seats other = best.domain_of;
    shake(numbers, other, 1 + numbers.below(std::max<std::size_t>(2, seating.parties() / 4)));
    steps += improve(seating, other);
    const double cost = cost_of(seating, other);
    if (cost >= best.cost * (1 - kNoGain)) continue;
    best.domain_of = std::move(other);
    best.cost = cost;
    vain = 0;
  }
}

}  // namespace

double cost_of(const Seating& seating, const Seats& domain_of) {
  double cost = 0;
  double ties = 0;  // Each is met at both of its ends.
  for (std::size_t party = 0; party < seating.parties(); ++party) {
    cost += seating.price[party * seating.domains() + domain_of[party]];
    for (const Tie& tie : seating.ties[party])
      ties += tie.weight * seating.way(domain_of[party], domain_of[tie.other]);
  }
  return cost + ties / 2;
}

std::uint64_t improve(const Seating& seating, Seats& domain_of) {
  return LocalSearch{seating, domain_of}.run();
}

Seated seat(const Seating& seating, const std::vector<Seats>& starts, std::uint64_t most_nodes) {
  Seated best{.domain_of = starts.front(), .cost = cost_of(seating, starts.front())};
  if (seating.domains() == 1) {
    best.optimal = true;
    return best;
  }
  for (Seats start : starts) {
    improve(seating, start);
    const double cost = cost_of(seating, start);
    if (cost < best.cost * (1 - kNoGain)) best = {.domain_of = std::move(start), .cost = cost};
  }
  // What can be proved at once needs no luck; what cannot is shaken first, since a good bound is half the
  // proof.
  best.optimal = prove(seating, best, most_nodes / 8);
  if (best.optimal) return best;
  shake_and_improve(seating, best);
  best.optimal = prove(seating, best, most_nodes);
  return best;
}

}  // namespace sluice::pinning
