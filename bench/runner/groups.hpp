// SPDX-License-Identifier: Apache-2.0
// Puts side by side what is compared: benchmarks of one group and the same parameters, with their ratios to
// the limit, the baseline and the best peer. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "results.hpp"

namespace sluice::bench {

// A ratio is this figure's median divided by the other's, whatever is better: more_is_better() tells.
struct Row {
  const Benchmark* benchmark = nullptr;
  std::string figure;
  std::optional<Spread> spread;  // None if it could not be measured; its benchmark says why.
  std::optional<double> to_limit;
  std::optional<double> to_baseline;
  std::optional<double> to_best_peer;
  bool best_peer = false;
};

// All with the same parameters: ours first, then limits, baselines, and peers from the best to the worst.
struct Setup {
  std::string parameters;
  std::vector<Row> rows;
};

struct Group {
  std::string name;
  std::string figure;  // Of its first row.
  std::vector<Setup> setups;
};

// In the order in which the suite gave them. Points into `suite`, which must outlive the result.
std::vector<Group> grouped(const SuiteResult& suite);

}  // namespace sluice::bench
