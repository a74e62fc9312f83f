// SPDX-License-Identifier: Apache-2.0
// The settings that say where a stage runs, and what the pipeline keeps off: at the start, at a resume, and when units
// are lost.

#include "child_status.hpp"
#include "layout/placement.hpp"
#include "units.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class PlaceSettings : public WithProcesses {};

unsigned last_unit() {
  return grantable_units().to_vector().back();
}

Settings on_the_last_unit(const char* policy) {
  Settings settings = placed_settings();
  settings.set("placement.policy", policy);
  settings.set("stage.echo.place", std::to_string(last_unit()));
  return settings;
}

TEST_F(PlaceSettings, PutAStageWhereTheySayUnderEveryPolicy) {
  for (const char* policy : {"auto", "spread", "none"}) {
    Engine engine{echo_pipeline(), on_the_last_unit(policy)};
    engine.start();
    const WorkerStats echo = worker_of(engine, "echo/0");
    EXPECT_EQ(echo.place, std::to_string(last_unit())) << policy;
    EXPECT_EQ(units_of(echo.pid), CpuSet{last_unit()}) << policy;
    engine.stop();
  }
}

TEST_F(PlaceSettings, HoldForAReplacementAndWhenThePipelineIsResumed) {
  std::string directory = (std::filesystem::temp_directory_path() / "sluice-place-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  Settings settings = on_the_last_unit("auto");
  settings.set("segment.path", directory + "/segment");
  {
    Engine engine{echo_pipeline(), settings};
    engine.start();
    auto in = engine.inlet<Item>("in");
    ASSERT_EQ(in.push({1, 1}), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "echo/0").events_in == 1; }));
    engine.signal_worker("echo/0", SIGKILL);
    ASSERT_TRUE(eventually([&] {
      const WorkerStats echo = worker_of(engine, "echo/0");
      return echo.incarnation == 2 && echo.lives.back().ready.count() != 0;
    }));
    EXPECT_EQ(units_of(worker_of(engine, "echo/0").pid), CpuSet{last_unit()});
    engine.park();
  }
  Engine again{echo_pipeline(), settings};
  again.start();
  EXPECT_TRUE(again.resumed());
  EXPECT_EQ(units_of(worker_of(again, "echo/0").pid), CpuSet{last_unit()});
  again.stop();
  std::filesystem::remove_all(directory);
}

TEST_F(PlaceSettings, KeepAllProcessesOffWhatIsReserved) {
  if (grantable_units().count() < 2) GTEST_SKIP() << "there is one unit here, and it cannot be reserved";
  Settings settings = placed_settings();
  settings.set("placement.reserve", std::to_string(last_unit()));
  Engine engine{echo_pipeline(), settings};
  engine.start();
  EXPECT_FALSE(units_of(worker_of(engine, "echo/0").pid).contains(last_unit()));
  EXPECT_FALSE(units_of(master_of(engine)).contains(last_unit()));
  EXPECT_FALSE(engine.place_of_host().units.contains(last_unit()));
  engine.stop();
}

std::string refused(const std::string& key, const std::string& value) {
  Settings settings = placed_settings();
  try {
    settings.set(key, value);
    const Engine engine{echo_pipeline(), settings};
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST_F(PlaceSettings, AreRefusedByTheirTextAndThePositionInItBeforeAnythingStarts) {
  EXPECT_THAT(
      refused("stage.echo.place", "packet:0"),
      AllOf(HasSubstr("the place of echo, at character 1 of \"packet:0\""), HasSubstr("numa_domains")));
  EXPECT_THAT(refused("stage.echo.place", "0,77777"),
              AllOf(HasSubstr("at character 3 of \"0,77777\""), HasSubstr("allowed are ")));
  EXPECT_THAT(refused("placement.reserve", grantable_units().to_string()), HasSubstr("are reserved"));
  EXPECT_THAT(refused("placement.reserve", "0-"), HasSubstr("at character 1, \"0-\""));
  EXPECT_THAT(refused("placement.smt", "off"), HasSubstr("one of last, never"));
  EXPECT_THAT(refused("place", "0"), HasSubstr("stage.<name>.place"));
  EXPECT_THAT(refused("stage.ehco.place", "0"), HasSubstr("did you mean echo?"));
}

// What a master plans once units are gone: `place` of one stage of eight cores, of which `left` are there.
std::string planned_anew(const char* place, const char* left, const char* reserved = "") {
  pinning::PlanRequest request{.stages = {{.name = "echo", .place = place}}};
  request.reserved = CpuSet::parse(reserved);
  const detail::Placement first{
      pinning::topology_from_synthetic("package:2 [numa] l3:1 core:4 pu:1"), request, {}, {}, {}};
  return placed_anew(first, CpuSet::parse(left)).workers[detail::WorkerIndex{0}].units.to_string();
}

TEST(PlaceOfAStage, IsWhatIsLeftOfItOnceUnitsAreLost) {
  EXPECT_EQ(planned_anew("4-5", "0-7"), "4");
  EXPECT_EQ(planned_anew("4-5", "0-3,5-7"), "5");
  EXPECT_EQ(planned_anew("package:1", "0-3,7"), "7");
  EXPECT_EQ(planned_anew("cores", "2-3"), "2");
}

TEST(PlaceOfAStage, IsAnywhereOnceAllOfItIsLost) {
  EXPECT_EQ(planned_anew("4-5", "0-3"), "0");
  EXPECT_EQ(planned_anew("4-5", "0-3,5", "0,5"), "1");
  EXPECT_EQ(planned_anew("4-5", "2", "2"), "2") << "nothing else is left than what was reserved";
}

}  // namespace
}  // namespace sluice::test
