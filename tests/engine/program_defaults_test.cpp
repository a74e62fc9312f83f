// SPDX-License-Identifier: Apache-2.0
// A program's own defaults: Pipeline::default_setting().
#include "engine/pipelines.hpp"
#include "engine/processes.hpp"
#include "engine/settings_support.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

class ProgramDefaults : public WithProcesses {
 protected:
  // The value of lane.slots and its origin, with these settings.
  std::string slots(const Settings& said, const std::string& stage = {}) const {
    const Settings settings = pipeline_.with_defaults(said);
    return settings.value("lane.slots", stage) + " " + settings.origin_of("lane.slots", stage).text();
  }

  Pipeline pipeline_ = counting_pipeline(1);
};

TEST_F(ProgramDefaults, AreStrongerThanTheTablesAndWeakerThanAllElse) {
  EXPECT_EQ(slots({}), "4096 default");
  pipeline_.default_setting("lane.slots", "8");
  EXPECT_EQ(slots({}), "8 program");
  pipeline_.default_setting("lane.slots", "16");
  EXPECT_EQ(slots({}), "16 program") << "the last one holds";
  Settings said;
  said.set("profile", "latency");
  EXPECT_EQ(slots(said), "1024 profile latency");
  const File file{"lane.slots = 32\n"};
  said.set("profile.file", file.path());
  EXPECT_EQ(slots(said), "32 profile file " + file.path() + ":1");
  EXPECT_EQ(slots(with_environment({"SLUICE_LANE_SLOTS=64"})), "64 environment SLUICE_LANE_SLOTS");
  said.set("lane.slots", "128");
  EXPECT_EQ(slots(said), "128 API");
  said.set_assignment("lane.slots=256");
  EXPECT_EQ(slots(said), "256 command line");
}

TEST_F(ProgramDefaults, OfOneStageYieldToWhatIsSaidForAllStages) {
  pipeline_.default_setting("lane.slots", "8");
  pipeline_.default_setting("stage.count.lane.slots", "16");
  EXPECT_EQ(slots({}, "count"), "16 program");
  EXPECT_EQ(slots({}), "8 program");
  Settings said;
  said.set_assignment("lane.slots=32");
  EXPECT_EQ(slots(said, "count"), "32 command line");
  EXPECT_EQ(pipeline_.with_defaults(said).fingerprint(), said.fingerprint());
  for (const SettingValue& each : pipeline_.with_defaults(said).values())
    EXPECT_NE(each.key, "stage.count.lane.slots") << each.value;
  said.set_assignment("stage.count.lane.slots=64");
  EXPECT_EQ(slots(said, "count"), "64 command line");
}

TEST_F(ProgramDefaults, ThatCannotBeAreErrorsAtOnce) {
  EXPECT_THAT(error_of([&] { pipeline_.default_setting("lane.slot", "8"); }),
              AllOf(HasSubstr("(program)"), HasSubstr("lane.slots")));
  EXPECT_THAT(error_of([&] { pipeline_.default_setting("lane.slots", "many"); }),
              AllOf(HasSubstr("\"many\" (program)"), HasSubstr("allowed:")));
  EXPECT_THAT(error_of([&] { pipeline_.default_setting("profile", "latency"); }),
              HasSubstr("for the user to say"));
  EXPECT_EQ(slots({}), "4096 default") << "nothing has changed";
  pipeline_.default_setting("stage.coun.lane.slots", "8");
  EXPECT_THAT(error_of([&] {
                const Engine engine{pipeline_, test_settings()};
              }),
              AllOf(HasSubstr("(program)"), HasSubstr("did you mean count?")));
}

TEST_F(ProgramDefaults, HoldInTheEngineAndInOneThreadAndShowWhereTheyAreFrom) {
  pipeline_.default_setting("stage.count.workers", "3");
  pipeline_.default_setting("stage.count.state.bytes", "2MiB");
  EXPECT_EQ(InlineRun{pipeline_}.stats().stages.at(0).workers.size(), 3U);
  const File socket{""};
  Settings settings = test_settings();
  settings.set("observe.socket", socket.path() + ".socket");
  Engine engine{pipeline_, settings};
  engine.start();
  EXPECT_EQ(engine.stats().stages.at(0).workers.size(), 3U);
  const SettingValue shown{"stage.count.state.bytes", "2MiB", "program"};
  EXPECT_THAT(Observer::attach(socket.path() + ".socket").settings(), Contains(shown));
  engine.stop();
}

}  // namespace
}  // namespace sluice::test
