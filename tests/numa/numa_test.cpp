// SPDX-License-Identifier: Apache-2.0
// Placement on a machine of two packages, four NUMA nodes, SMT, a node without memory and a CPU that is
// offline: what numa_guest checked in it, line by line. The machine is booted once for all of these tests.
#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "console.hpp"

namespace sluice::test {
namespace {

class Numa : public testing::Test {
 protected:
  void SetUp() override {
    // CTest looks for these words: tests/numa/CMakeLists.txt.
    if (!console().cannot_run.empty()) GTEST_SKIP() << "no virtual machine: " << console().cannot_run;
  }

  // Every check of the scenario is there, in order, and good; and it had at least so many.
  static void expect_scenario(const std::string& name, std::size_t at_least) {
    const std::string mark = "numa " + name + ' ';
    std::size_t checks = 0;
    bool ended = false;
    for (const std::string& line : console().lines) {
      if (!line.starts_with(mark)) continue;
      const std::string text = line.substr(mark.size());
      if (text.starts_with("note ")) continue;
      if (text == "end " + std::to_string(checks)) {
        ended = true;
        continue;
      }
      ++checks;
      EXPECT_THAT(text, testing::StartsWith(std::to_string(checks) + " ok "))
          << "failed, or a line before it is lost";
    }
    EXPECT_GE(checks, at_least);
    EXPECT_TRUE(ended) << name << " did not come to its end: " << console().end();
  }
};

TEST_F(Numa, MachineComesUpAndEndsByItself) {
  EXPECT_TRUE(console().started());
  EXPECT_EQ(console().status, 0) << console().end();
  RecordProperty("emulated", console().emulated ? "yes" : "no");
}

TEST_F(Numa, TopologyIsReadAsTheKernelHasIt) {
  expect_scenario("topology", 15 * 5 + 6);
}

TEST_F(Numa, TwoStagesRunSideBySide) {
  expect_scenario("two-stages", 18);
}

TEST_F(Numa, LanesOfTheHostHaveItsName) {
  EXPECT_TRUE(std::any_of(console().lines.begin(), console().lines.end(), [](const std::string& line) {
    return line.starts_with("numa two-stages ") &&
           line.find(" ok lane host to parse/0: ") != std::string::npos;
  }));
}

TEST_F(Numa, StagesHaveTheirWorkersOnOneCoreEachAcrossPackages) {
  expect_scenario("stages-with-counts", 40);
}

TEST_F(Numa, KilledWorkerIsBackAtItsPlaceOverTheSamePages) {
  expect_scenario("respawn", 37);
}

TEST_F(Numa, WorkersOnAllCoresButOneLeaveThatToTheHost) {
  expect_scenario("a-core-for-each", 55);
}

TEST_F(Numa, SmtSiblingsAreTakenLast) {
  expect_scenario("siblings-last", 70);
}

TEST_F(Numa, WorkersOnTheNodeWithoutMemoryHaveTheNearestNodes) {
  expect_scenario("memoryless", 17);
}

TEST_F(Numa, QuotaOfAControlGroupIsSeen) {
  expect_scenario("quota", 5);
}

TEST_F(Numa, PageOf1GibIsTakenKeptThroughADeathAndGivenBack) {
  expect_scenario("pages-of-1g", 11);
}

TEST_F(Numa, MaskThatIsRewrittenIsPutBack) {
  expect_scenario("rewritten-mask", 34);
}

TEST_F(Numa, MemoryThatIsMovedAwayIsBroughtBack) {
  expect_scenario("moved-pages", 34);
}

TEST_F(Numa, CpusetThatShrinksAndGrowsMovesTheWorkersAndTheirMemoryThereAndBack) {
  expect_scenario("rewritten-cpuset", 44);
}

TEST_F(Numa, CpuThatGoesOfflineIsLeft) {
  expect_scenario("cpu-goes-offline", 20);
}

// It needs control groups of version 2, which the machine around this one may not have.
TEST_F(Numa, ControlGroupThatDiesAsAWholeTakesTheHostAlong) {
  const std::vector<std::string>& lines = console().lines;
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("poison: [       OK ] OutOfMemory.KillsTheHost");
  })) << console().end();
}

// The tests of the bindings themselves, where nodes are several.
TEST_F(Numa, BindingsHoldInTheirOwnTests) {
  const std::vector<std::string>& lines = console().lines;
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("[  PASSED  ] ");
  })) << console().end();
  for (const std::string& line : lines)
    EXPECT_THAT(line, testing::Not(testing::StartsWith("[  FAILED  ]")));
}

}  // namespace
}  // namespace sluice::test
