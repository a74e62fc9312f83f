// SPDX-License-Identifier: Apache-2.0
// The settings that say where a stage runs, and what the pipeline keeps off: at the start, at a resume, and when units
// are lost.

#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/pipeline_text.hpp>

#include "child_status.hpp"
#include "layout/placement.hpp"
#include "support/clear_away.hpp"
#include "units.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class PlaceSettings : public WithProcesses {};
class WorkersOfCores : public WithProcesses {};

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
  clear_away(directory);
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
  EXPECT_THAT(refused("placement.measured", "echo@1 ecco@2"),
              AllOf(HasSubstr("at character 8"), HasSubstr("no stage \"ecco\"")));
  EXPECT_THAT(refused("placement.smt", "off"), HasSubstr("one of last, never"));
  EXPECT_THAT(refused("place", "0"), HasSubstr("stage.<name>.place"));
  EXPECT_THAT(refused("stage.ehco.place", "0"), HasSubstr("did you mean echo?"));
}

// What the plan leaves for "echo" here.
unsigned cores_for_echo() {
  return pinning::with_cores(pinning::read_topology(),
                             pinning::parse_pipeline("echo:cores host>echo echo>host"))
      .stages[0]
      .workers;
}

std::size_t workers_of_echo(const Engine& engine) {
  return engine.stats().stages.front().workers.size();
}

TEST_F(WorkersOfCores, AreAsManyAsThePlanLeaves) {
  Pipeline pipeline{"placed"};
  pipeline.inlet<Item>("in").to<Echo>("echo", {.workers = cores}).outlet("out");
  Engine engine{pipeline, placed_settings()};
  engine.start();
  EXPECT_EQ(workers_of_echo(engine), cores_for_echo());
  engine.stop();
  EXPECT_EQ(run_inline(pipeline, placed_settings()).stats().stages.front().workers.size(), cores_for_echo());
}

TEST_F(WorkersOfCores, CanBeAskedForBySettingsAndBeatenByThem) {
  Settings settings = placed_settings();
  settings.set("stage.echo.workers", "cores");
  EXPECT_EQ(settings.count_or_auto("workers", "echo"), cores);
  EXPECT_EQ(settings.value("workers", "echo"), "cores");
  EXPECT_EQ(workers_of_echo(Engine{echo_pipeline(), settings}), cores_for_echo());
  settings.set("stage.echo.workers", "2");
  Pipeline pipeline{"placed"};
  pipeline.inlet<Item>("in").to<Echo>("echo", {.workers = cores}).outlet("out");
  EXPECT_EQ(workers_of_echo(Engine{pipeline, settings}), 2U);
  EXPECT_THAT(refused("stage.echo.workers", "core"), HasSubstr("a whole number from 1 to 4M, auto or cores"));
}

TEST_F(WorkersOfCores, StayAsManyAsTheSegmentWasMadeWith) {
  std::string directory = (std::filesystem::temp_directory_path() / "sluice-cores-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const unsigned before = cores_for_echo() + 1;
  Settings settings = placed_settings();
  settings.set("segment.path", directory + "/segment");
  settings.set("stage.echo.workers", std::to_string(before));
  {
    Engine engine{echo_pipeline(), settings};
    engine.start();
    auto in = engine.inlet<Item>("in");
    ASSERT_EQ(in.push({1, 1}), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "echo/0").events_in == 1; }));
    engine.park();
  }
  settings.set("stage.echo.workers", "cores");
  Engine again{echo_pipeline(), settings};
  again.start();
  EXPECT_TRUE(again.resumed());
  EXPECT_EQ(workers_of_echo(again), before);
  EXPECT_THAT(again.placement(), HasSubstr("! echo has " + std::to_string(before) +
                                           " workers, as when its memory was made: there would be "
                                           "cores for " +
                                           std::to_string(before - 1) + " now\n"));
  again.stop();
  clear_away(directory);
}

// What a master plans once units are gone: `place` of one stage of eight cores, of which `left` are there.
std::string planned_anew(const char* place, const char* left, const char* reserved = "") {
  pinning::PlanRequest request{.stages = {{.name = "echo", .place = place}}};
  request.reserved = CpuSet::parse(reserved);
  const detail::Placement first{
      pinning::topology_from_synthetic("package:2 [numa] l3:1 core:4 pu:1"), request, {}, {}, {}, {}};
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
