// SPDX-License-Identifier: Apache-2.0
// One of the ways to a first plan: workers are added one by one, each where it is nearest to those it talks to.
#include <algorithm>
#include <cstddef>

#include "assign.hpp"

namespace sluice::pinning {
namespace {

class Growth {
 public:
  Growth(const Seating& seating, std::size_t first, bool roomy)
      : seating_{seating},
        first_{first},
        roomy_{roomy},
        free_{seating.seats},
        price_{seating.price},
        to_seated_(seating.parties(), 0),
        total_(seating.parties(), 0),
        domain_of_(seating.parties(), seating.domains()) {
    for (std::size_t domain = 0; domain < seating.domains(); ++domain) {
      if (seating.must_be_full[domain]) to_fill_ += seating.seats[domain];
    }
    for (std::size_t party = 0; party < seating.parties(); ++party) {
      for (const Tie& tie : seating.ties[party])
        total_[party] += tie.weight;
    }
  }

  Seats run() {
    for (std::size_t seated = 0; seated < seating_.parties(); ++seated)
      seat(next(), seating_.parties() - seated);
    return domain_of_;
  }

 private:
  bool is_seated(std::size_t party) const { return domain_of_[party] != seating_.domains(); }

  std::size_t next() const {
    std::size_t best = seating_.parties();
    for (std::size_t party = 0; party < seating_.parties(); ++party) {
      if (is_seated(party)) continue;
      if (best == seating_.parties() || to_seated_[party] > to_seated_[best] ||
          (to_seated_[party] == to_seated_[best] && total_[party] > total_[best]))
        best = party;
    }
    return best;
  }

  bool may_sit(std::size_t domain, std::size_t to_come) const {
    return free_[domain] > 0 && (seating_.must_be_full[domain] || to_fill_ < to_come);
  }

  void seat(std::size_t party, std::size_t to_come) {
    const double* prices = &price_[party * seating_.domains()];
    std::size_t best = seating_.domains();
    for (std::size_t domain = 0; domain < seating_.domains(); ++domain) {
      if (!may_sit(domain, to_come)) continue;
      const bool cheaper = best == seating_.domains() || prices[domain] < prices[best];
      const bool roomier =
          !cheaper && roomy_ && prices[domain] == prices[best] && free_[domain] > free_[best];
      if (cheaper || roomier) best = domain;
    }
    if (to_come == seating_.parties() && may_sit(first_, to_come)) best = first_;
    domain_of_[party] = best;
    --free_[best];
    if (seating_.must_be_full[best]) --to_fill_;
    for (const Tie& tie : seating_.ties[party]) {
      to_seated_[tie.other] += tie.weight;
      for (std::size_t each = 0; each < seating_.domains(); ++each)
        price_[tie.other * seating_.domains() + each] += tie.weight * seating_.way(best, each);
    }
  }

  const Seating& seating_;
  std::size_t first_;
  bool roomy_;
  std::vector<std::size_t> free_;
  std::vector<double> price_;      // What each party pays in each domain, as those seated sit.
  std::vector<double> to_seated_;  // How much each party has to say to them.
  std::vector<double> total_;
  Seats domain_of_;
  std::size_t to_fill_ = 0;  // Seats that must not stay empty and are.
};

}  // namespace

Seats grow(const Seating& seating, std::size_t first, bool roomy) {
  return Growth{seating, first, roomy}.run();
}

}  // namespace sluice::pinning
