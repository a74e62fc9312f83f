// SPDX-License-Identifier: Apache-2.0
// Runs suite programs one after the other and keeps what they measured.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "results.hpp"

namespace sluice::bench {

struct Suite {
  std::string_view name;
  std::chrono::seconds full;  // About what it takes here: docs/performance.md.
  std::chrono::seconds quick;
  std::string_view question;
};

// In the order in which they run; `peers` is the last.
std::span<const Suite> all_suites() noexcept;

struct RunRequest {
  std::vector<Suite> suites;
  bool quick = false;
  bool peers = false;
  std::string filter;                  // Of Google Benchmark, a regular expression; empty for all benchmarks.
  std::string directory;               // Where the programs bench_<suite> are.
  std::chrono::seconds allowance{75};  // Beyond twice the usual time: a suite's own deadlines come first.
};

// Nothing else than a hang takes that long: then the suite is ended.
std::chrono::seconds longest(const RunRequest& request, const Suite& suite) noexcept;

// Told for a person; the suite's name is in the text. What runs is told again each second.
enum class Stage { running, ended };
using Progress = std::function<void(Stage stage, const std::string& text)>;

// All suites are in the result, in the order asked. Stops after a signal that ends programs; what was
// measured until then is kept. Blocks for minutes; throws Error only if nothing can run at all.
std::vector<SuiteResult> run_suites(const RunRequest& request, const Progress& progress);

}  // namespace sluice::bench
