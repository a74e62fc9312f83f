// SPDX-License-Identifier: Apache-2.0
// Who sits where, so that the events have the shortest way: the search behind policy auto.
//
// Parties are placed in domains; a domain is a set of seats that are alike for everybody else. The cost of an
// assignment is the sum over all ties of weight times the distance of the two domains, and each party's own price
// for its domain. This is the quadratic assignment problem with seats that are alike; it is solved exactly where
// it is small and by local search with restarts elsewhere, always in the same way: no clock, no random seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::pinning {

struct Tie {
  std::size_t other = 0;
  double weight = 0;
};

struct Seating {
  // Of each party, at most one to each other; each tie stands with both of its ends.
  std::vector<std::vector<Tie>> ties{};
  std::vector<std::size_t> seats{};  // Of each domain.
  std::vector<bool> must_be_full{};  // Of each domain: no seat of it stays empty.
  std::vector<double> distance{};    // A row for each domain; the diagonal is between two seats of one.
  std::vector<double> price{};       // A row for each party, a column for each domain.

  std::size_t parties() const noexcept { return ties.size(); }
  std::size_t domains() const noexcept { return seats.size(); }
  double way(std::size_t from, std::size_t to) const noexcept { return distance[from * domains() + to]; }
};

using Seats = std::vector<std::size_t>;  // The domain of each party.

struct Seated {
  Seats domain_of{};
  double cost = 0;
  bool optimal = false;  // Proved.
};

// Seats the parties one after the other, those with much to say to the seated ones first, where that costs least;
// the first of them in `first` if it may sit there. Of equal domains the one with most room (`roomy`), or the first.
Seats grow(const Seating& seating, std::size_t first, bool roomy);

double cost_of(const Seating& seating, const Seats& domain_of);

// Improves each of the starts, which fill the domains as they must be filled, and gives the best that was found.
// `most_nodes` bounds the proof: how many partial assignments are looked at.
Seated seat(const Seating& seating, const std::vector<Seats>& starts, std::uint64_t most_nodes);

// Swaps and moves parties while that makes the assignment cheaper. Gives how many steps it took.
std::uint64_t improve(const Seating& seating, Seats& domain_of);

// Looks for an assignment that is cheaper than `best` by branch and bound, and replaces it. Gives whether it came
// to the end, so that `best` is as cheap as can be.
bool prove(const Seating& seating, Seated& best, std::uint64_t most_nodes);

}  // namespace sluice::pinning
