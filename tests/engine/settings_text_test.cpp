// SPDX-License-Identifier: Apache-2.0
// What people and reports are shown of the settings.

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "settings_support.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Show, HasALineForEverySettingAndEveryStagesOwn) {
  Settings settings = with_environment({"SLUICE_STAGE_PARSE_WORKERS=2"});
  settings.set("profile", "latency");
  settings.set("stage.bars.lane.slots", "8");
  const std::string table = settings.show();
  for (const std::string_view key : setting_keys())
    EXPECT_THAT(table, HasSubstr(std::string{key}));
  EXPECT_THAT(table, testing::ContainsRegex("\nlane.slots +1024 +profile latency\n"));
  EXPECT_THAT(table, testing::ContainsRegex("\nstage.bars.lane.slots +8 +API\n"));
  EXPECT_THAT(table,
              testing::ContainsRegex("\nstage.parse.workers +2 +environment SLUICE_STAGE_PARSE_WORKERS\n"));
}

TEST(Show, OfAStageHasTheValuesThatHoldForIt) {
  Settings settings;
  settings.set("stage.parse.lane.slots", "8");
  settings.set("stage.parse.workers", "3");
  EXPECT_THAT(settings.show("parse"), testing::ContainsRegex("\nlane.slots +8 +API\n"));
  EXPECT_THAT(settings.show("parse"), testing::ContainsRegex("\nworkers +3 +API\n"));
  EXPECT_THAT(settings.show("parse"), testing::ContainsRegex("\nwatchdog.tick +10ms +default\n"));
  EXPECT_THAT(settings.show("bars"), testing::ContainsRegex("\nlane.slots +4096 +default\n"));
}

TEST(Explain, TellsTheValueItsOriginAndWhatWasOverruled) {
  Settings settings = with_environment({"SLUICE_LANE_SLOTS=16"});
  settings.set_assignment("lane.slots=64");
  const std::string text = settings.explain("lane.slots");
  EXPECT_THAT(text, HasSubstr("64 (command line)"));
  EXPECT_THAT(text, HasSubstr("lane.slots = 16 (environment SLUICE_LANE_SLOTS)"));
  EXPECT_THAT(text, HasSubstr("4096; latency 1024, throughput 65536, shared 512"));
  EXPECT_THAT(text, HasSubstr("SLUICE_STAGE_<NAME>_LANE_SLOTS"));
}

TEST(Explain, KnowsASettingByEachOfItsNames) {
  Settings settings;
  settings.set("stage.parse.workers", "3");
  EXPECT_THAT(settings.explain("workers"), StartsWith("workers: count"));
  EXPECT_THAT(settings.explain("stage.parse.workers"), HasSubstr("3 (API)"));
  EXPECT_THAT(settings.explain("SLUICE_STAGE_PARSE_WORKERS"), HasSubstr("3 (API)"));
  EXPECT_THAT(settings.explain("stage.<name>.workers"), StartsWith("workers: count"));
  EXPECT_THAT(error_of([&] { settings.explain("worker"); }), HasSubstr("did you mean stage.<name>.workers?"));
}

TEST(EveryTextForPeople, FitsOnATerminal) {
  const auto widest = [](const std::string& text) {
    std::istringstream lines{text};
    std::string line;
    std::size_t width = 0;
    while (std::getline(lines, line))
      width = std::max(width, line.size());
    return width;
  };
  EXPECT_LE(widest(settings_help()), 80U);
  EXPECT_LE(widest(Settings{}.show()), 80U);
  for (const std::string_view key : setting_keys())
    EXPECT_LE(widest(Settings{}.explain(key)), 100U) << key;
}

TEST(TheFingerprint, DependsOnTheValuesAndNotOnTheWayToThem) {
  Settings one;
  Settings other;
  EXPECT_EQ(one.fingerprint(), other.fingerprint());
  one.set("lane.slots", "64K");
  EXPECT_NE(one.fingerprint(), other.fingerprint());
  other.set_assignment("lane.slots=65536");
  EXPECT_EQ(one.fingerprint(), other.fingerprint());
  one.set("stage.parse.lane.slots", "8");
  EXPECT_NE(one.fingerprint(), other.fingerprint());
  other.set("stage.Parse.lane.slots", "8");
  EXPECT_EQ(one.fingerprint(), other.fingerprint());
  other.set("stage.bars.lane.slots", "64K");
  EXPECT_EQ(one.fingerprint(), other.fingerprint()) << "the stage repeats the general value";
}

TEST(TheReferencePage, IsUpToDate) {
  std::ifstream file{SLUICE_SETTINGS_PAGE};
  std::ostringstream page;
  page << file.rdbuf();
  EXPECT_EQ(page.str(), settings_reference()) << "run: sluice config reference > docs/reference/settings.md";
}

}  // namespace
}  // namespace sluice::test
