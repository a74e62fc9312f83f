// SPDX-License-Identifier: Apache-2.0
// Differences, their noise, and what stands against comparing.

#include "compare.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "groups.hpp"

namespace sluice::bench {
namespace {

const SuiteResult* suite_in(const Report& report, const std::string& name) {
  const auto found = std::ranges::find(report.suites, name, &SuiteResult::name);
  return found == report.suites.end() ? nullptr : &*found;
}

const Benchmark* benchmark_in(const SuiteResult& suite, const Name& name) {
  const auto found = std::ranges::find(suite.benchmarks, name, &Benchmark::name);
  return found == suite.benchmarks.end() ? nullptr : &*found;
}

// Ratio of the benchmark's main figure to its run's own baseline or, without one, limit.
std::optional<double> standing(const std::vector<Group>& groups, const Name& name) {
  for (const Group& group : groups) {
    for (const Setup& setup : group.setups) {
      for (const Row& row : setup.rows) {
        if (row.benchmark->name == name) return row.to_baseline ? row.to_baseline : row.to_limit;
      }
    }
  }
  return std::nullopt;
}

std::string fact(const Report& report, const std::string& name) {
  const auto found =
      std::ranges::find(report.machine.facts, name, [](const auto& each) { return each.first; });
  return found == report.machine.facts.end() ? "" : found->second;
}

void add_differences(const std::string& suite, const Benchmark& before, const Benchmark& after,
                     std::vector<Difference>& all) {
  const std::string main = main_figure(after);
  for (const std::string& figure : telling_figures(after)) {
    const std::optional<Spread> was = spread_of(before, figure);
    const std::optional<Spread> is = spread_of(after, figure);
    if (!was || !is) continue;
    Difference difference{suite, after.name, figure, figure == main, *was, *is, 0, false, false, 0};
    difference.ratio = was->median == 0 ? 0 : is->median / was->median;
    difference.beyond_noise = beyond_noise(*was, *is);
    difference.better = more_is_better(figure) == (is->median > was->median);
    all.push_back(std::move(difference));
  }
}

}  // namespace

bool beyond_noise(const Spread& before, const Spread& after) noexcept {
  if (before.rounds < kLeastRounds || after.rounds < kLeastRounds) return false;
  return before.most < after.least || after.most < before.least;
}

std::vector<Difference> differences(const Report& before, const Report& after) {
  std::vector<Difference> all;
  for (const SuiteResult& suite : after.suites) {
    const SuiteResult* old_suite = suite_in(before, suite.name);
    if (old_suite == nullptr) continue;
    const std::vector<Group> groups = grouped(suite);
    const std::vector<Group> old_groups = grouped(*old_suite);
    for (const Benchmark& benchmark : suite.benchmarks) {
      const Benchmark* old = benchmark_in(*old_suite, benchmark.name);
      if (old == nullptr) continue;
      const bool stands_beside = benchmark.name.kind == Kind::ours || benchmark.name.kind == Kind::peer;
      const std::size_t first = all.size();
      add_differences(suite.name, *old, benchmark, all);
      const std::optional<double> was = standing(old_groups, benchmark.name);
      const std::optional<double> is = standing(groups, benchmark.name);
      if (stands_beside && all.size() > first && all[first].main && was && is && *was != 0)
        all[first].relative = *is / *was;
    }
  }
  return all;
}

std::vector<std::string> caveats(const Report& before, const Report& after) {
  std::vector<std::string> sentences;
  for (const char* name : {"cpu", "processor family", "usable units", "kernel", "governor", "virtualisation",
                           "compiler", "build"}) {
    if (fact(before, name) == fact(after, name)) continue;
    sentences.push_back(
        fmt::format("The {} differs: '{}' before, '{}' now.", name, fact(before, name), fact(after, name)));
  }
  if (before.quick != after.quick)
    sentences.push_back(
        fmt::format("One run was --quick, {}; its rounds are shorter.", after.quick ? "this" : "the old"));
  return sentences;
}

std::vector<std::string> only_in_first(const Report& first, const Report& second) {
  std::vector<std::string> names;
  for (const SuiteResult& suite : first.suites) {
    const SuiteResult* other = suite_in(second, suite.name);
    for (const Benchmark& benchmark : suite.benchmarks) {
      if (other == nullptr || benchmark_in(*other, benchmark.name) == nullptr)
        names.push_back(fmt::format("{} {}", suite.name, benchmark.name.text()));
    }
  }
  return names;
}

}  // namespace sluice::bench
