// SPDX-License-Identifier: Apache-2.0
// What policy auto costs beside the least that there can be, over the zoo. All of it is computed and nothing measured: the
// same figures on every machine. It prints the table of docs/guide/placement.md.
#include <algorithm>
#include <cstdio>
#include <string>

#include <sluice/pinning/compare.hpp>

#include "expect_error.hpp"
#include "zoo.hpp"

namespace sluice::pinning {
namespace {

// So many workers that each has a core beside the host's, and few enough for the exact optimum.
std::size_t most_workers(const Topology& machine) {
  constexpr std::size_t kMost = 9;
  std::set<int> cores;
  for (const ProcessingUnit& unit : machine.units) {
    if (unit.allowed && !unit.isolated) cores.insert(unit.core);
  }
  return std::min(kMost, std::max<std::size_t>(cores.size(), 1) - 1);
}

// Stages in a tree or, now and then, with two ways to the same stage; flows of which nothing is known, of which the rate
// is, and of which that of each lane is.
PlanRequest small_pipeline(Dice& dice, std::size_t workers) {
  PlanRequest request;
  for (std::size_t left = workers; left > 0;) {
    const std::size_t stage = request.stages.size();
    const std::size_t taken = stage == 4 ? left : std::min(left, 1 + dice.below(4));
    left -= taken;
    std::string name{"s"};
    name += std::to_string(stage);
    request.stages.push_back({.name = name, .workers = static_cast<unsigned>(taken)});
  }
  const auto connect = [&](std::size_t from, std::size_t to) {
    Flow flow{.from = from, .to = to};
    const std::size_t known = dice.below(3);
    if (known == 1) flow.rate = static_cast<double>(1 + dice.below(1000));
    const std::size_t lanes =
        std::size_t{request.stages[from].workers} * std::size_t{request.stages[to].workers};
    for (std::size_t lane = 0; known == 2 && lane < lanes; ++lane)
      flow.lane_rates.push_back(static_cast<double>(dice.below(100)));
    request.flows.push_back(std::move(flow));
  };
  for (std::size_t stage = 1; stage < request.stages.size(); ++stage) {
    const std::size_t from = dice.below(stage);
    connect(from, stage);
    if (stage > 1 && dice.below(4) == 0) connect((from + 1) % stage, stage);
  }
  return request;
}

// Beside the least, which is 1.
struct Row {
  int proved = 0;
  int exact = 0;  // Of these, auto costs the least.
  double worst = 1;
  double chosen = 0;
  double compact = 0;
  double spread = 0;
  double random = 0;

  void add(const Comparison& found) {
    const double least = *found.least;
    if (least <= 0) return;
    ++proved;
    exact += found.chosen <= least * (1 + 1e-9) ? 1 : 0;
    worst = std::max(worst, found.chosen / least);
    chosen += found.chosen / least;
    compact += found.compact / least;
    spread += found.spread / least;
    random += found.random / least;
  }
  void print(const std::string& machine) const {
    std::printf("| %s | %d | %d | %.3f | %.3f | %.2f | %.2f | %.2f |\n", machine.c_str(), proved, exact,
                worst, chosen / proved, compact / proved, spread / proved, random / proved);
  }
};

// "FILE.xml", or the text that describes it.
std::string name_of(const Topology& machine) {
  const std::string text = machine.description.substr(0, machine.description.find(": "));
  return text.ends_with(".xml") ? text.substr(text.rfind('/') + 1) : text;
}

TEST(ZooCost, OfAutoIsWithinFivePercentOfTheLeastThatThereCanBe) {
  constexpr int kPipelines = 12;
  constexpr std::uint64_t kMostNodes = 1'000'000;
  int proved = 0;
  std::printf("| machine | proved | exact | worst | auto | compact | spread | random |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  for (const Topology& machine : all_machines()) {
    const std::size_t most = most_workers(machine);
    if (most < 2 || machine.quota_cores) continue;
    Dice dice{1};
    Row row;
    for (int each = 0; each < kPipelines; ++each) {
      const PlanRequest request = small_pipeline(dice, 2 + dice.below(most - 1));
      const Comparison found = compare(machine, request, kMostNodes);
      if (found.least) row.add(found);
      if (!found.least || *found.least <= 0) continue;
      EXPECT_LE(found.chosen, *found.least * 1.05) << name_of(machine) << ", pipeline " << each;
    }
    if (row.proved != 0) row.print(name_of(machine));
    proved += row.proved;
  }
  EXPECT_GT(proved, 80) << "without the machines that others saved there are some 100";
}

}  // namespace
}  // namespace sluice::pinning
