// SPDX-License-Identifier: Apache-2.0
// Profile files: what may stand in them, and what is said of the rest.

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "settings_support.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

TEST(AProfileFile, HoldsLinesAndComments) {
  const File file{
      "# Market hours.\n\n  lane.slots=8 \r\nbatch.events = 9 # few\n\t# indented\nwait.spin = "
      "1ms\t#\nlane.bytes = 4K"};
  Settings settings;
  settings.set("profile.file", file.path());
  EXPECT_EQ(settings.count("lane.slots"), 8U);
  EXPECT_EQ(settings.count("batch.events"), 9U);
  EXPECT_EQ(settings.duration("wait.spin"), 1ms);
  EXPECT_EQ(settings.bytes("lane.bytes"), 4096U);
  EXPECT_THAT(settings.origin_of("lane.bytes").detail, EndsWith(":7"));
}

TEST(AProfileFile, IsReplacedByTheOneOfAStrongerLayer) {
  const File weak{"lane.slots = 8\nbatch.events = 8\n"};
  const File strong{"lane.slots = 9\n"};
  Settings settings;
  settings.set("profile.file", strong.path(), Origin::command_line);
  settings.set("profile.file", weak.path());
  EXPECT_EQ(settings.count("lane.slots"), 9U);
  EXPECT_EQ(settings.count("batch.events"), 256U);
  settings.set("profile.file", "", Origin::command_line);
  EXPECT_EQ(settings.count("lane.slots"), 4096U) << "empty is for no file";
}

TEST(AProfileFile, ThatNeverEndsIsRefused) {
  Settings settings;
  const std::string error = error_of([&] { settings.set("profile.file", "/dev/zero"); });
  EXPECT_THAT(error, HasSubstr("/dev/zero"));
  EXPECT_THAT(error, HasSubstr("larger than 1 MiB"));
}

TEST(AProfileFile, WithAnUnknownKeyIsRefusedWithItsLineAndTheNearestName) {
  EXPECT_EQ(error_of_file("# one\nlane.slot = 5\n"),
            "cannot set lane.slot to \"5\" (profile file FILE:2): there is no such setting (did you mean "
            "lane.slots?)");
}

TEST(AProfileFile, WithABadValueIsRefusedWithItsLine) {
  EXPECT_THAT(
      error_of_file("batch.events = 1\n\nlane.slots = x\n"),
      StartsWith("cannot set lane.slots to \"x\" (profile file FILE:3): it is no whole number (allowed:"));
}

TEST(AProfileFile, WithALineThatIsNoSettingIsRefused) {
  EXPECT_EQ(error_of_file("lane.slots 5\n"),
            "cannot read the profile file FILE:1: \"lane.slots 5\" is not of the form key = value "
            "(for example lane.slots = 64K)");
  EXPECT_THAT(error_of_file("= 5\n"), HasSubstr("FILE:1"));
}

TEST(AProfileFile, WithAZeroByteIsRefusedInWordsThatDoNotEndThere) {
  using namespace std::string_literals;
  EXPECT_THAT(error_of_file("batch.events = 7\nlane.slots\0=3\n"s),
              HasSubstr("FILE:2: \"lane.slots\" is followed by a zero byte (for"));
}

TEST(AProfileFile, SaysEachThingOnce) {
  EXPECT_THAT(error_of_file("lane.slots = 5\nlane.slots = 6\n"),
              AllOf(HasSubstr("FILE:2"), HasSubstr(":1 has set it already")));
  EXPECT_THAT(error_of_file("stage.a-b.workers = 5\nstage.A_B.workers = 6\n"),
              HasSubstr("has set it already"));
}

TEST(AProfileFile, CannotNameAnother) {
  EXPECT_THAT(error_of_file("profile.file = /etc/other\n"), HasSubstr("cannot name another"));
}

TEST(AProfileFile, ThatCannotBeReadIsNamed) {
  EXPECT_THAT(error_of_setting("profile.file", "/nowhere/at/all"),
              AllOf(HasSubstr("\"/nowhere/at/all\""), HasSubstr("No such file or directory")));
  EXPECT_THAT(error_of_setting("profile.file", "/tmp"), HasSubstr("directory"));
}

}  // namespace
}  // namespace sluice::test
