// SPDX-License-Identifier: Apache-2.0
// What a line takes from unit to unit: measured, judged and kept.

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/calibration.hpp>
#include <sluice/pinning/plan.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::HasSubstr;

MeasuredCosts some_costs() {
  return {{0, 1, 4}, {0, 50, 120.5, 50, 0, 120, 120.5, 120, 0}, true};
}

bool same(const MeasuredCosts& a, const MeasuredCosts& b) {
  return a.units == b.units && a.nanoseconds == b.nanoseconds && a.steady == b.steady;
}

TEST(Calibration, AgreesWithItselfWhereTheUnitsStayWhereTheyAre) {
  EXPECT_TRUE(pair_cost({100, 104, 99, 101, 103, 98, 140, 102}).steady);
  EXPECT_EQ(pair_cost({100, 104, 99}).nanoseconds, 100);
  EXPECT_TRUE(pair_cost({100, 104, 99}).steady);
  // One look in eight was disturbed.
  EXPECT_TRUE(pair_cost({100, 104, 99, 101, 103, 98, 900, 102}).steady);
  EXPECT_FALSE(pair_cost({110, 420, 112, 415, 110, 109, 418, 421}).steady);
  EXPECT_EQ(pair_cost({}).nanoseconds, 0);
}

TEST(Calibration, OfTooFewLooksKnowsNothing) {
  EXPECT_FALSE(pair_cost({}).steady);
  EXPECT_FALSE(pair_cost({100}).steady);
  EXPECT_FALSE(pair_cost({100, 100}).steady);
}

TEST(Calibration, ComesBackFromItsFile) {
  const std::string text = to_file(some_costs(), "00c0ffee");
  const auto read = from_file(text, "00c0ffee");
  ASSERT_TRUE(read);
  EXPECT_TRUE(same(*read, some_costs()));
  MeasuredCosts unsteady = some_costs();
  unsteady.steady = false;
  EXPECT_FALSE(from_file(to_file(unsteady, "1"), "1")->steady);
}

TEST(Calibration, OfAnotherMachineOrDamagedIsNone) {
  const std::string text = to_file(some_costs(), "00c0ffee");
  EXPECT_FALSE(from_file(text, "00c0fffe"));
  EXPECT_FALSE(from_file("", ""));
  for (std::size_t bytes = 0; bytes + 1 < text.size(); ++bytes) {
    EXPECT_FALSE(from_file(text.substr(0, bytes), "00c0ffee")) << bytes;
  }
  std::string worse = text;
  worse.replace(worse.find("50.0"), 4, "-9.0");
  EXPECT_FALSE(from_file(worse, "00c0ffee"));
}

TEST(Calibration, IsKeyedByTheTopology) {
  const Topology one = topology_from_synthetic("package:1 l3:1 core:4 pu:1");
  const Topology two = topology_from_synthetic("package:2 l3:1 core:2 pu:1");
  EXPECT_EQ(calibration_key(one), calibration_key(one));
  EXPECT_NE(calibration_key(one), calibration_key(two));
}

TEST(Calibration, IsKeptForThePlansOfThisMachine) {
  std::string directory = (std::filesystem::temp_directory_path() / "sluice-costs-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const char* before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("XDG_CACHE_HOME", directory.c_str(), 1);
  const Topology topology = topology_from_synthetic("package:1 l3:1 core:4 pu:1");
  EXPECT_TRUE(kept_costs(topology).empty());
  EXPECT_EQ(kept_costs(topology).passed_over, "");
  const std::filesystem::path file = keep_costs(some_costs(), topology);
  EXPECT_THAT(file.string(), testing::StartsWith(directory + "/sluice/costs-"));
  EXPECT_TRUE(same(kept_costs(topology), some_costs()));
  EXPECT_TRUE(kept_costs(topology_from_synthetic("core:2 pu:1")).empty());
  // What everybody may write is believed by nobody.
  std::filesystem::permissions(file, std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  EXPECT_TRUE(kept_costs(topology).empty());
  EXPECT_EQ(kept_costs(topology).passed_over, file.string() + ": others may write it");
  std::filesystem::permissions(file,
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  std::filesystem::resize_file(file, 40);
  const Plan placed = plan(topology, {.stages = {{.name = "read"}}, .costs = kept_costs(topology)});
  EXPECT_THAT(placed.remarks, testing::Contains(HasSubstr(file.string() + ": it is damaged")));
  if (before == nullptr) {
    ::unsetenv("XDG_CACHE_HOME");
  } else {
    ::setenv("XDG_CACHE_HOME", kept.c_str(), 1);
  }
  std::filesystem::remove_all(directory);
}

TEST(Calibration, MeasuresEveryPairInItsTimeAndLeavesTheMaskAsItWas) {
  const CpuSet units = current_units();
  if (units.count() < 2) {
    EXPECT_THAT(error_of([&] { measure_costs(units, std::chrono::milliseconds{1}); }),
                HasSubstr("two of them"));
    return;
  }
  CpuSet two;
  two.insert(units.to_vector()[0]);
  two.insert(units.to_vector()[1]);
  const MeasuredCosts costs = measure_costs(two, std::chrono::milliseconds{50}).costs;
  EXPECT_EQ(costs.units, two.to_vector());
  ASSERT_EQ(costs.nanoseconds.size(), 4U);
  EXPECT_GT(costs.nanoseconds[1], 1);
  EXPECT_EQ(costs.nanoseconds[1], costs.nanoseconds[2]);
  EXPECT_EQ(current_units(), units);
}

TEST(Calibration, EndsWithItsTimeAlsoInTheMidstOfARoundAndKnowsNothingThen) {
  const CpuSet units = current_units();
  if (units.count() < 2) GTEST_SKIP() << "there is one unit here";
  const Calibration measured = measure_costs(units, std::chrono::nanoseconds{0});
  EXPECT_LE(measured.fewest_looks, 1U);
  EXPECT_FALSE(measured.costs.steady);
  EXPECT_GT(measured.enough.count(), 0);
  if (units.count() > 2) {
    EXPECT_EQ(measured.costs.nanoseconds[2], 0) << "one look at the first pair";
  }
}

}  // namespace
}  // namespace sluice::pinning
