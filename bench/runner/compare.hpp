// SPDX-License-Identifier: Apache-2.0
// What changed between two runs, and what is no more than noise. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "report.hpp"

namespace sluice::bench {

// The rule: a difference exceeds the noise if every round of one run is better than every round of the other,
// with at least five rounds each. Without any real difference that happens once in 126 comparisons of five
// with five: 2 of the 252 orders of ten rounds are such. It is the exact test of the ranks' extremes (of
// Mann and Whitney's U = 0), and it knows nothing of a drift between the hours of the two runs: see
// `relative` for that.
inline constexpr std::size_t kLeastRounds = 5;
bool beyond_noise(const Spread& before, const Spread& after) noexcept;

struct Difference {
  std::string suite;
  Name name;
  std::string figure;
  bool main = false;  // The figure that counts for this benchmark.
  Spread before;
  Spread after;
  double ratio = 0;  // The median after, divided by the one before.
  bool beyond_noise = false;
  bool better = false;  // Says something only if beyond noise.
  // The same ratio, each run's median first divided by that of its own baseline (or limit): a drift of the
  // machine meets both alike. 0 if there is none.
  double relative = 0;
};

// Every telling figure that both runs have, in the order of `after`.
std::vector<Difference> differences(const Report& before, const Report& after);

// Why the two runs do not compare well: other machine, kernel, compiler, --quick. Sentences; empty if
// nothing.
std::vector<std::string> caveats(const Report& before, const Report& after);

// Benchmarks that only one of the runs has, as "suite name".
std::vector<std::string> only_in_first(const Report& first, const Report& second);

}  // namespace sluice::bench
