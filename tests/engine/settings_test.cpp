// SPDX-License-Identifier: Apache-2.0
// The settings as a specification: values, layers, origins, stages and errors.

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "settings_support.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Values and types.

TEST(ASetting, HasADefault) {
  const Settings settings;
  EXPECT_EQ(settings.choice("profile"), "balanced");
  EXPECT_EQ(settings.count("lane.slots"), 4096U);
  EXPECT_EQ(settings.bytes("lane.bytes"), 1048576U);
  EXPECT_EQ(settings.duration("watchdog.tick"), 10ms);
  EXPECT_EQ(settings.text("profile.file"), "");
  EXPECT_EQ(settings.origin_of("lane.slots").layer, Origin::fallback);
}

TEST(ASetting, IsWrittenWithUnitsAndReadTyped) {
  Settings settings;
  settings.set("lane.slots", "64K");
  settings.set("lane.bytes", "2MiB");
  settings.set("watchdog.tick", " 5ms ");
  settings.set("lane.full", "fail");
  EXPECT_EQ(settings.count("lane.slots"), 65536U);
  EXPECT_EQ(settings.bytes("lane.bytes"), 2097152U);
  EXPECT_EQ(settings.duration("watchdog.tick"), 5ms);
  EXPECT_EQ(settings.choice("lane.full"), "fail");
}

TEST(ASetting, IsWrittenBackCanonically) {
  Settings settings;
  settings.set("lane.bytes", "2048k");
  settings.set("wait.spin", "0.5ms");
  EXPECT_EQ(settings.value("lane.bytes"), "2MiB");
  EXPECT_EQ(settings.value("wait.spin"), "500us");
}

TEST(ASetting, MayBeLeftToTheProgramWhereTheTableSaysSo) {
  Settings settings;
  EXPECT_EQ(settings.count_or_auto("table.rows", "bars"), std::nullopt);
  settings.set("table.rows", "100K");
  EXPECT_EQ(settings.count_or_auto("table.rows", "bars"), 102400U);
  settings.set("stage.bars.table.rows", "auto");
  EXPECT_EQ(settings.count_or_auto("table.rows", "bars"), std::nullopt);
  EXPECT_THAT(error_of_setting("lane.slots", "auto"), HasSubstr("no whole number"));
}

TEST(ASetting, ThatIsAListOfCpusIsRefusedWithThePosition) {
  Settings settings;
  settings.set("placement.reserve", "0,1,2,8");
  EXPECT_EQ(settings.text("placement.reserve"), "0-2,8");
  settings.set("placement.reserve", "");
  EXPECT_EQ(settings.text("placement.reserve"), "") << "none";
  EXPECT_THAT(error_of_setting("placement.reserve", "0-2,eight"),
              AllOf(HasSubstr("at character 5, \"eight\" is neither a CPU number"),
                    HasSubstr("for example placement.reserve=0-1,8")));
  EXPECT_THAT(error_of_setting("placement.reserve", "3-1"), HasSubstr("the range 3-1 runs backwards"));
}

TEST(EverySetting, AcceptsItsOwnValueInEveryProfile) {
  for (const char* profile : {"balanced", "latency", "throughput", "shared"}) {
    Settings settings;
    settings.set("profile", profile);
    for (const std::string_view key : setting_keys()) {
      const bool of_stage = key == "workers" || key == "threads" || key == "place";
      const std::string value = settings.value(key, of_stage ? "parse" : "");
      Settings again;
      again.set(of_stage ? "stage.parse." + std::string{key} : std::string{key}, value);
      EXPECT_EQ(again.value(key, of_stage ? "parse" : ""), value) << key << " is canonical in " << profile;
    }
  }
}

TEST(TheProfileShared, NeverSpins) {
  Settings settings;
  settings.set("profile", "shared");
  EXPECT_EQ(settings.choice("wait.strategy"), "sleep");
  EXPECT_EQ(settings.duration("wait.spin"), 0s);
  EXPECT_EQ(settings.duration("wait.yield"), 0s);
}

TEST(ABadLookup, IsABugAndNotAnError) {
  const Settings settings;
  EXPECT_THROW(settings.count("lane.slot"), std::logic_error);
  EXPECT_THROW(settings.bytes("lane.slots"), std::logic_error);
  EXPECT_THROW(settings.flag("lane.slots"), std::logic_error);
  EXPECT_THROW(settings.count("table.rows"), std::logic_error) << "it may be auto";
  EXPECT_THROW(settings.count_or_auto("workers"), std::logic_error) << "only stages have it";
  EXPECT_THROW(settings.duration("watchdog.tick", "parse"), std::logic_error) << "stages do not have it";
  EXPECT_THROW(Settings{}.set("lane.slots", "5", Origin::profile), std::logic_error);
}

// Layers and origins.

TEST(TheProfile, BeatsTheDefault) {
  Settings settings;
  settings.set("profile", "throughput");
  EXPECT_EQ(settings.count("lane.slots"), 65536U);
  EXPECT_EQ(settings.origin_of("lane.slots"), (ValueOrigin{Origin::profile, "throughput"}));
  EXPECT_EQ(settings.origin_of("lane.full").layer, Origin::fallback) << "the profile does not change it";
}

TEST(TheProfileFile, BeatsTheProfile) {
  const File file{"profile = throughput\nlane.slots = 8\n"};
  Settings settings;
  settings.set("profile.file", file.path());
  EXPECT_EQ(settings.count("lane.slots"), 8U);
  EXPECT_EQ(settings.origin_of("lane.slots"), (ValueOrigin{Origin::profile_file, file.path() + ":2"}));
  EXPECT_EQ(settings.count("batch.events"), 2048U) << "the file may choose the profile";
}

TEST(TheEnvironment, BeatsTheProfileFile) {
  const File file{"lane.slots = 8\nbatch.events = 8\n"};
  const std::string named = "SLUICE_PROFILE_FILE=" + file.path();
  const Settings settings = with_environment({"SLUICE_LANE_SLOTS=16", named.c_str()});
  EXPECT_EQ(settings.count("lane.slots"), 16U);
  EXPECT_EQ(settings.origin_of("lane.slots"), (ValueOrigin{Origin::environment, "SLUICE_LANE_SLOTS"}));
  EXPECT_EQ(settings.count("batch.events"), 8U);
}

TEST(TheApi, BeatsTheEnvironment) {
  Settings settings = with_environment({"SLUICE_LANE_SLOTS=16"});
  settings.set("lane.slots", "32");
  EXPECT_EQ(settings.count("lane.slots"), 32U);
  EXPECT_EQ(settings.origin_of("lane.slots").layer, Origin::api);
}

TEST(TheCommandLine, BeatsTheApiWhicheverSpokeLast) {
  Settings settings;
  settings.set_assignment("lane.slots=64");
  settings.set("lane.slots", "32");
  EXPECT_EQ(settings.count("lane.slots"), 64U);
  EXPECT_EQ(settings.origin_of("lane.slots").layer, Origin::command_line);
}

TEST(TheLaterAssignment, HoldsWithinALayer) {
  Settings settings;
  settings.set_assignment("lane.slots=64");
  settings.set_assignment("lane.slots = 65");
  EXPECT_EQ(settings.count("lane.slots"), 65U);
}

TEST(AStrongerProfile, ReplacesEveryValueOfTheWeakerOne) {
  Settings settings = with_environment({"SLUICE_PROFILE=throughput"});
  EXPECT_EQ(settings.count("batch.events"), 2048U);
  settings.set_assignment("profile=shared");
  EXPECT_EQ(settings.count("batch.events"), 256U) << "the default, which shared keeps";
  EXPECT_EQ(settings.count("lane.slots"), 512U);
}

TEST(ADefaultSettings, IgnoresTheEnvironment) {
  ASSERT_EQ(::setenv("SLUICE_LANE_SLOTS", "16", 1), 0);
  const Settings ignorant;
  const Settings informed = Settings::from_environment();
  ::unsetenv("SLUICE_LANE_SLOTS");
  EXPECT_EQ(ignorant.count("lane.slots"), 4096U);
  EXPECT_EQ(informed.count("lane.slots"), 16U);
}

TEST(AnOrigin, ReadsAsASentenceWould) {
  EXPECT_EQ(ValueOrigin{}.text(), "default");
  EXPECT_EQ((ValueOrigin{Origin::profile, "latency"}.text()), "profile latency");
  EXPECT_EQ((ValueOrigin{Origin::profile_file, "a.conf:3"}.text()), "profile file a.conf:3");
  EXPECT_EQ((ValueOrigin{Origin::environment, "SLUICE_X"}.text()), "environment SLUICE_X");
  EXPECT_EQ((ValueOrigin{Origin::api, ""}.text()), "API");
  EXPECT_EQ((ValueOrigin{Origin::command_line, ""}.text()), "command line");
}

// Stages.

TEST(AStagesSetting, BeatsTheGeneralOneWhateverTheirLayers) {
  Settings settings = with_environment({"SLUICE_STAGE_PARSE_LANE_SLOTS=16"});
  settings.set_assignment("lane.slots=64");
  EXPECT_EQ(settings.count("lane.slots", "parse"), 16U);
  EXPECT_EQ(settings.count("lane.slots", "bars"), 64U);
  EXPECT_EQ(settings.count("lane.slots"), 64U);
  EXPECT_EQ(settings.origin_of("lane.slots", "parse").detail, "SLUICE_STAGE_PARSE_LANE_SLOTS");
}

TEST(AStagesSetting, FollowsTheLayersAmongItsEquals) {
  Settings settings = with_environment({"SLUICE_STAGE_PARSE_WORKERS=2"});
  settings.set("stage.parse.workers", "3");
  EXPECT_EQ(settings.count_or_auto("workers", "parse"), 3U);
  settings.set_assignment("stage.parse.workers=4");
  EXPECT_EQ(settings.count_or_auto("workers", "parse"), 4U);
  EXPECT_EQ(settings.count_or_auto("workers", "bars"), std::nullopt);
}

TEST(AStagesSetting, MayStandInAProfileFile) {
  const File file{"stage.parse.workers = 7\n"};
  Settings settings;
  settings.set("profile.file", file.path());
  EXPECT_EQ(settings.count_or_auto("workers", "parse"), 7U);
}

TEST(AStagesVariable, SpellsDashesAsUnderscoresAndLettersAsCapitals) {
  const Settings settings = with_environment({"SLUICE_STAGE_READ_ALL_2_WAIT_SPIN=1ms"});
  EXPECT_EQ(settings.duration("wait.spin", "read-all-2"), 1ms);
  EXPECT_EQ(settings.duration("wait.spin", "Read_All_2"), 1ms);
  EXPECT_EQ(settings.duration("wait.spin", "read"), 20us);
}

TEST(AStagesVariable, EndsTheStagesNameWhereASettingBegins) {
  const Settings settings =
      with_environment({"SLUICE_STAGE_LANE_SLOTS_LANE_SLOTS=8", "SLUICE_STAGE_STAGE_WORKERS=9"});
  EXPECT_EQ(settings.count("lane.slots", "lane-slots"), 8U);
  EXPECT_EQ(settings.count_or_auto("workers", "stage"), 9U);
}

// What makes the rule above unambiguous.
TEST(NoKey, IsTheEndOfAnother) {
  for (const std::string_view key : setting_keys()) {
    for (const std::string_view other : setting_keys()) {
      EXPECT_THAT(std::string{other}, Not(EndsWith(std::string{"."}.append(key))));
      EXPECT_THAT(std::string{other}, Not(EndsWith(std::string{"_"}.append(key))));
      EXPECT_THAT(std::string{key}, Not(StartsWith("stage")));
    }
  }
}

TEST(AStageThatDoesNotExist, IsRefusedWithTheNearestName) {
  const std::vector<std::string> stages = {"read", "parse", "bars"};
  Settings settings;
  settings.set_assignment("stage.parse.workers=2");
  EXPECT_NO_THROW(settings.check_stages(stages));
  settings.set_assignment("stage.prase.workers=2");
  EXPECT_EQ(error_of([&] { settings.check_stages(stages); }),
            "cannot set stage.prase.workers to \"2\" (command line): the pipeline has no stage 'prase' "
            "(did you mean parse?)");
  const Settings far = with_environment({"SLUICE_STAGE_ZEBRA_WORKERS=2"});
  EXPECT_THAT(error_of([&] { far.check_stages(stages); }),
              AllOf(HasSubstr("SLUICE_STAGE_ZEBRA_WORKERS"), HasSubstr("its stages: read, parse, bars")));
}

TEST(StagesThatShareTheirVariables, AreRefused) {
  const std::vector<std::string> stages = {"read", "a-b", "A_B"};
  EXPECT_THAT(error_of([&] { Settings{}.check_stages(stages); }),
              AllOf(HasSubstr("'a-b'"), HasSubstr("'A_B'")));
}

TEST(ASettingOfThePipeline, IsRefusedForOneStage) {
  EXPECT_THAT(error_of_setting("stage.parse.watchdog.tick", "5ms"),
              AllOf(HasSubstr("whole pipeline"), HasSubstr("write watchdog.tick")));
  EXPECT_THAT(error_of_variable("SLUICE_STAGE_PARSE_WATCHDOG_TICK=5ms"),
              HasSubstr("write SLUICE_WATCHDOG_TICK"));
}

TEST(ASettingOfOneStage, IsRefusedForAll) {
  EXPECT_THAT(error_of_setting("workers", "2"), HasSubstr("write stage.<name>.workers"));
  EXPECT_THAT(error_of_variable("SLUICE_WORKERS=2"), HasSubstr("write SLUICE_STAGE_<NAME>_WORKERS"));
}

TEST(AStagesKey, NamesAStageAndASetting) {
  for (const char* key : {"stage.", "stage.parse", "stage.parse.", "stage..workers", "stage.a b.workers"}) {
    EXPECT_THAT(error_of_setting(key, "2"), HasSubstr("stage.<name>.<key>")) << key;
  }
}

// Errors.

TEST(ASetting, MayBeOffWhereTheTableSaysSo) {
  Settings settings;
  EXPECT_EQ(settings.value("latency.sample"), "off");
  EXPECT_EQ(settings.count_or_auto("latency.sample", "bars"), std::nullopt);
  settings.set("latency.sample", "1K");
  settings.set("stage.bars.latency.sample", "off");
  EXPECT_EQ(settings.count_or_auto("latency.sample", "parse"), 1024U);
  EXPECT_EQ(settings.count_or_auto("latency.sample", "bars"), std::nullopt);
  EXPECT_THROW(settings.count("latency.sample"), std::logic_error) << "it may be off";
  EXPECT_THAT(error_of_setting("latency.sample", "99"),
              AllOf(HasSubstr("it is less than 100"), HasSubstr("a whole number from 100 to 1G, or off")));
  EXPECT_THAT(error_of_setting("latency.sample", "auto"), HasSubstr("no whole number"));
}

TEST(ABadValue, TellsKeyTextReasonRangeExampleAndOrigin) {
  EXPECT_EQ(
      error_of_variable("SLUICE_LANE_SLOTS=4q"),
      "cannot set lane.slots to \"4q\" (environment SLUICE_LANE_SLOTS): 'q' is no unit here: K, M, G or T "
      "(allowed: a whole number from 2 to 1T; for example lane.slots=64K)");
  EXPECT_EQ(error_of([] { Settings{}.set_assignment("stage.parse.lane.bytes=1K"); }),
            "cannot set stage.parse.lane.bytes to \"1K\" (command line): it is less than 4KiB "
            "(allowed: a size from 4KiB to 1TiB; for example stage.parse.lane.bytes=2MiB)");
  EXPECT_THAT(error_of_setting("watchdog.tick", "10"),
              AllOf(HasSubstr("(API)"), HasSubstr("its unit is missing")));
}

TEST(ABadValue, IsOutOfItsRangeOrEmpty) {
  EXPECT_THAT(error_of_setting("lane.slots", "1"), HasSubstr("it is less than 2"));
  EXPECT_THAT(error_of_setting("lane.slots", "2T"), HasSubstr("it is more than 1T"));
  EXPECT_THAT(error_of_setting("lane.slots", ""), HasSubstr("it is empty"));
  EXPECT_THAT(error_of_setting("lane.full", ""), HasSubstr("it is empty"));
  EXPECT_THAT(error_of_setting("profile.file", "a\nb"), HasSubstr("control character"));
}

TEST(ABadChoice, IsToldTheNearestOne) {
  EXPECT_THAT(error_of_setting("wait.strategy", "slep"),
              AllOf(HasSubstr("did you mean sleep?"), HasSubstr("one of spin, yield, sleep")));
  EXPECT_THAT(error_of_setting("profile", "fast"), HasSubstr("one of balanced, latency, throughput, shared"));
}

TEST(ABadValue, LeavesTheSettingsAsTheyWere) {
  Settings settings;
  settings.set("lane.slots", "8");
  EXPECT_THROW(settings.set("lane.slots", "none"), Error);
  EXPECT_THROW(settings.set("profile.file", "/nowhere/at/all"), Error);
  EXPECT_EQ(settings.count("lane.slots"), 8U);
  EXPECT_EQ(settings.text("profile.file"), "");
}

TEST(AnUnknownKey, IsRefusedWithTheNearestName) {
  EXPECT_EQ(error_of_setting("lane.slot", "5"),
            "cannot set lane.slot to \"5\" (API): there is no such setting (did you mean lane.slots?)");
  EXPECT_THAT(error_of_setting("lane_slots", "5"), HasSubstr("did you mean lane.slots?"));
  EXPECT_THAT(error_of_setting("Lane.Slots", "5"), HasSubstr("did you mean lane.slots?"));
  EXPECT_THAT(error_of_setting("wathcdog.dealine", "5"), HasSubstr("did you mean watchdog.deadline?"));
  EXPECT_THAT(error_of_setting("deadline", "5"), HasSubstr("did you mean watchdog.deadline?"));
  EXPECT_THAT(error_of_setting("SLUICE_LANE_SLOTS", "5"), HasSubstr("did you mean lane.slots?"));
  EXPECT_THAT(error_of_setting("stage.parse.wrokers", "5"), HasSubstr("did you mean stage.parse.workers?"));
  EXPECT_THAT(error_of_setting("zebra", "5"), HasSubstr("`sluice config keys` lists every setting"));
  EXPECT_THAT(error_of_setting("", "5"), HasSubstr("there is no such setting"));
}

// With a distance to each name for each '_' it took the cube of its length.
TEST(AMisspeltVariable, OfALengthThatNobodyTypesIsRefusedAtOnce) {
  constexpr std::size_t kLong = 100'000;
  EXPECT_THAT(error_of_variable("SLUICE_STAGE_" + std::string(kLong, '_') + "=5"), HasSubstr("cannot set"));
  EXPECT_THAT(error_of_variable("SLUICE_" + std::string(kLong, 'X') + "=5"), HasSubstr("cannot set"));
  EXPECT_THAT(error_of_setting(std::string(kLong, 'x'), "5"), HasSubstr("cannot set"));
  EXPECT_THAT(error_of_setting("stage.parse." + std::string(kLong, '.'), "5"), HasSubstr("cannot set"));
}

TEST(AMisspeltVariable, IsRefusedWithTheNearestName) {
  EXPECT_EQ(error_of_variable("SLUICE_LANE_SLOT=5"),
            "cannot set SLUICE_LANE_SLOT to \"5\" (environment): there is no such setting "
            "(did you mean SLUICE_LANE_SLOTS?)");
  EXPECT_THAT(error_of_variable("SLUICE_STAGE_PARSE_LANE_SLOT=5"),
              HasSubstr("did you mean SLUICE_STAGE_PARSE_LANE_SLOTS?"));
  EXPECT_THAT(error_of_variable("SLUICE_WORKER=5"), HasSubstr("did you mean SLUICE_STAGE_<NAME>_WORKERS?"));
  EXPECT_THAT(error_of_variable("SLUICE_STAGE_WORKERS=5"), HasSubstr("there is no such setting"));
  EXPECT_THAT(error_of_variable("SLUICE_=5"), HasSubstr("there is no such setting"));
  EXPECT_THAT(error_of_variable("SLUICE_TEST_DATA=/data"), HasSubstr("there is no such setting"))
      << "where tests find their data is nothing to the product";
}

TEST(AVariable, OfOthersIsNoneOfOurBusiness) {
  EXPECT_NO_THROW(
      with_environment({"PATH=/bin", "SLUICEGATE=open", "sluice_lane_slots=5", "SLUICE_NO_VALUE", ""}));
  EXPECT_NO_THROW(with_environment({"PATH=/bin", nullptr, "SLUICE_BEYOND_THE_END=1"}));
}

TEST(AnAssignment, NeedsAnEqualsSign) {
  for (const char* text : {"lane.slots", "=5", ""}) {
    EXPECT_THAT(error_of([&] { Settings{}.set_assignment(text); }), HasSubstr("not of the form key=value"))
        << text;
  }
}

}  // namespace
}  // namespace sluice::test
