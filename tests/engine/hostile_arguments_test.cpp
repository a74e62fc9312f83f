// SPDX-License-Identifier: Apache-2.0
// `sluice` given paths that a user did not mean: every command comes to its end, and says in one line what is wrong.
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "run_command.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kEnded = 124;  // What timeout(1) ends with where it had to end a command.
constexpr int kMisused = 2;

class HostileArguments : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sluice_hostile_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    ASSERT_EQ(::mkfifo(fifo().c_str(), 0600), 0);
  }
  void TearDown() override { clear_away(directory_); }

  std::string fifo() const { return (directory_ / "fifo").string(); }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  // A command that hangs is ended, and told by its status.
  static Finished ended(const std::string& arguments) { return sluice(arguments, "timeout 60"); }

  std::filesystem::path directory_;
};

TEST_F(HostileArguments, APipeThatNobodyWritesIntoIsSaidToBeOne) {
  for (const char* command : {"config diff balanced", "topo --topology", "plan --pipeline a:1 --topology",
                              "serve --http unix:@sluice_hostile_none --token-file"}) {
    const Finished run = ended(std::string{command} + " '" + fifo() + "'");
    EXPECT_EQ(run.status, kMisused) << command;
    EXPECT_THAT(run.err, HasSubstr("nobody writes into it")) << command;
  }
  const Finished lint = ended("config lint '" + fifo() + "'");
  EXPECT_EQ(lint.status, 1);
  EXPECT_THAT(lint.out, HasSubstr("nobody writes into it"));
  const Finished drawn = ended("plan --pipeline a:1 --svg '" + fifo() + "'");
  EXPECT_EQ(drawn.status, kMisused);
  EXPECT_THAT(drawn.err, HasSubstr("nobody reads from it"));
}

TEST_F(HostileArguments, APipeWithAWriterIsRead) {
  const Finished lint = sluice("config lint /dev/stdin", "echo lane.slots = x | env -i timeout 60");
  EXPECT_EQ(lint.status, 1);
  EXPECT_THAT(lint.out, HasSubstr("lane.slots"));
}

TEST_F(HostileArguments, ADeviceWithoutEndIsTooLarge) {
  for (const char* command : {"config diff balanced", "topo --topology", "plan --pipeline a:1 --topology",
                              "serve --http unix:@sluice_hostile_none --token-file"}) {
    const Finished run = ended(std::string{command} + " /dev/zero");
    EXPECT_EQ(run.status, kMisused) << command;
    EXPECT_THAT(run.err, HasSubstr("it is larger than")) << command;
  }
}

TEST_F(HostileArguments, AnEmptyPathIsNoPath) {
  for (const char* arguments :
       {"deaths list ''", "deaths show '' 1", "dead list ''", "dead show '' 1", "dead export ''",
        "dead import '' a.dead", "dead import - ''", "dead retry '' -- true", "dead debug '' 1 -- true",
        "config lint ''", "config diff '' latency", "config diff latency ''", "config explain ''",
        "config show --stage ''", "plan --pipeline a:1 --svg ''",
        "serve --http unix:@sluice_hostile_none --token-file ''"}) {
    const Finished run = ended(arguments);
    EXPECT_EQ(run.status, kMisused) << arguments;
    EXPECT_THAT(run.err, HasSubstr("empty")) << arguments;
    EXPECT_EQ(run.out, "") << arguments;
  }
}

TEST_F(HostileArguments, AnEmptyNameIsNoName) {
  for (const char* arguments :
       {"stats ''", "stats --json ''", "top ''", "top --once ''", "park ''", "drain ''",
        "config lint --profile ''", "config show --profile ''", "plan --policy ''", "plan --reserve ''",
        "plan --measured ''", "serve --http unix:@sluice_hostile_none ''",
        "serve --http unix:@sluice_hostile_none some ''"}) {
    const Finished run = ended(arguments);
    EXPECT_EQ(run.status, kMisused) << arguments;
    EXPECT_THAT(run.err, HasSubstr("it is empty")) << arguments;
    EXPECT_EQ(run.out, "") << arguments;
  }
}

// What compares with nothing is within no limits: without a pause a look would follow the other.
TEST_F(HostileArguments, ATimeThatIsNoNumberIsRefused) {
  for (const char* arguments : {"stats none --watch nan", "stats none --watch ''",
                                "stats none --watch=", "top none --every nan", "top none --every ''"}) {
    const Finished run = ended(arguments);
    EXPECT_EQ(run.status, kMisused) << arguments;
    EXPECT_THAT(run.err, AllOf(HasSubstr("takes a number from 0.1 to "), HasSubstr("--help"))) << arguments;
  }
}

TEST_F(HostileArguments, ATimeForAProgramIsOneAlsoWhereNoProgramIsAsked) {
  for (const char* time : {"inf", "nan", "''", "0", "0s", "10", "1e400s", "soon"}) {
    const Finished run = ended(std::string{"plan --topology core:8 --pipeline a:1 --within "} + time);
    EXPECT_EQ(run.status, kMisused) << time;
    EXPECT_THAT(run.err, HasSubstr("for example --within 10s")) << time;
    EXPECT_EQ(run.out, "") << time;
  }
}

TEST_F(HostileArguments, ACountIsAtLeastOne) {
  for (const char* arguments :
       {"stats none --watch 1 --looks 0", "stats none --watch 1 --looks -1",
        "stats none --watch 1 --looks ''", "deaths list none --last 0", "deaths list none --last -1",
        "deaths list none --last ''", "deaths show none 0", "deaths show none -1", "dead show none -1",
        "dead debug none -1 -- true"}) {
    const Finished run = ended(arguments);
    EXPECT_EQ(run.status, kMisused) << arguments;
    EXPECT_THAT(run.err, HasSubstr("takes a number of at least 1, not \"")) << arguments;
  }
}

TEST_F(HostileArguments, ASettingWithoutANameIsSaidToLackIt) {
  for (const char* assignment : {"=4", "' =4'", "="}) {
    const Finished run = ended(std::string{"config lint --set "} + assignment);
    EXPECT_EQ(run.status, 1) << assignment;
    EXPECT_THAT(run.out, HasSubstr("it is not of the form key=value")) << assignment;
  }
}

TEST_F(HostileArguments, AnAddressWithoutAHostIsSaidToLackIt) {
  for (const char* address : {":9464", ":"}) {
    const Finished run = ended(std::string{"serve --http "} + address);
    EXPECT_EQ(run.status, kMisused) << address;
    EXPECT_THAT(run.err, HasSubstr("it has no host")) << address;
  }
}

TEST_F(HostileArguments, ANameIsEscapedOnce) {
  const std::string bad = shell_quoted("no\x1b[31m");
  for (const char* command : {"deaths list", "dead list", "dead import /dev/null", "topo --topology",
                              "chaos --", "serve --http", "config explain"}) {
    const Finished run = ended(std::string{command} + " '" + bad + "'");
    EXPECT_EQ(run.status, kMisused) << command;
    EXPECT_THAT(run.err, AllOf(HasSubstr("no\\x1b[31m"), Not(HasSubstr("\\\\x1b")), Not(HasSubstr("\x1b"))))
        << command;
  }
}

TEST_F(HostileArguments, ALineOfAProfileFileIsEscapedOnce) {
  std::ofstream{path("profile")} << "\xff\x1b line\n";
  const Finished run = ended("config lint '" + path("profile") + "'");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.out, HasSubstr("\"\\xff\\x1b line\" is not of the form key = value"));
}

TEST_F(HostileArguments, AFileOfSomethingElseIsNotReproachedForEachOfItsLines) {
  {
    std::ofstream file{path("deaths.jsonl")};
    for (int i = 0; i < 10'000; ++i)
      file << "Nov 29 14:29:53 host program[108]: a line of a log\n";
  }
  for (const char* command : {"deaths list", "deaths list --json"}) {
    const Finished run = ended(std::string{command} + " '" + directory_.string() + "'");
    EXPECT_EQ(run.status, kMisused) << command;
    EXPECT_LT(run.err.size(), 1000U) << command;
    EXPECT_THAT(run.err, AllOf(HasSubstr("line 3 of "), Not(HasSubstr("line 4 of ")),
                               HasSubstr("and 9997 lines more")))
        << command;
  }
}

TEST_F(HostileArguments, AnArgumentOfAHundredThousandCharactersIsSaidToBeWrong) {
  const std::string file = path("long");
  std::ofstream{file} << std::string(100'000, 'x');
  for (const char* command : {"deaths list", "dead list", "dead export", "config diff balanced",
                              "config explain", "topo --topology", "stats", "park", "new", "completion"}) {
    const Finished run = ended(std::string{command} + " \"$(cat '" + file + "')\"");
    EXPECT_EQ(run.status, kMisused) << command;
    EXPECT_THAT(run.err, Not(HasSubstr("what():"))) << command;
  }
}

TEST_F(HostileArguments, AProgramIsNotHeldByItsProfileFile) {
  const Finished run = sluice("config show", "SLUICE_PROFILE_FILE='" + fifo() + "' timeout 60");
  EXPECT_NE(run.status, kEnded);
  EXPECT_EQ(run.status, kMisused);
  EXPECT_THAT(run.err, HasSubstr("nobody writes into it"));
}

TEST_F(HostileArguments, AWordWithoutANumberIsAProgramAndNoStage) {
  const Finished none = ended("plan --pipeline sluice-hostile-none");
  EXPECT_EQ(none.status, kMisused);
  EXPECT_THAT(none.err, AllOf(HasSubstr("cannot start 'sluice-hostile-none': No such file or directory"),
                              HasSubstr("by its path, or one that PATH finds")));
  EXPECT_EQ(none.out, "");
  const Finished other = ended("plan --pipeline true");
  EXPECT_EQ(other.status, kMisused);
  EXPECT_THAT(other.err, HasSubstr("'true': it ended with status 0 and has made no Engine"));
}

TEST_F(HostileArguments, AComparisonIsNeitherJsonNorADrawing) {
  for (const std::string option : {"--json", "--svg"}) {
    const Finished run =
        ended("plan --compare " + option + (option == "--svg" ? " '" + path("drawn") + "'" : ""));
    EXPECT_EQ(run.status, kMisused) << option;
    EXPECT_THAT(run.err, HasSubstr("does not go with")) << option;
    EXPECT_EQ(run.out, "") << option;
  }
}

TEST_F(HostileArguments, AComparisonWithAMachineThatIsNoneIsAnErrorAlone) {
  const Finished run = ended("plan --compare --topology 'core:2 pu:1' --topology core:");
  EXPECT_EQ(run.status, kMisused);
  EXPECT_THAT(run.err, HasSubstr("cannot read the synthetic topology \"core:\""));
  EXPECT_EQ(run.out, "");
}

// What was counted in no time would be called fine.
TEST_F(HostileArguments, WhoLooksForNoTimeSeesNothing) {
  for (const char* time : {"0", "0s", "1", "soon", "-1s", "''"}) {
    const Finished doctor = ended(std::string{"doctor --for "} + time);
    EXPECT_EQ(doctor.status, kMisused) << time;
    EXPECT_THAT(doctor.err, HasSubstr("write 500ms or 10s")) << time;
    EXPECT_EQ(doctor.out, "") << time;
  }
}

TEST_F(HostileArguments, AVariableOfASettingIsNamedWhereItIsMeant) {
  EXPECT_THAT(ended("config explain SLUICE_LANE_SLOT").err, HasSubstr("did you mean SLUICE_LANE_SLOTS?"));
  EXPECT_THAT(ended("config explain SLUICE_STAGE_PARSE_LANE_SLOT").err,
              HasSubstr("did you mean SLUICE_STAGE_PARSE_LANE_SLOTS?"));
}

TEST_F(HostileArguments, ADirectoryOfLinesIsToldToNameAFile) {
  const Finished run = ended("dead import '" + directory_.string() + "' '" + path("a.dead") + "'");
  EXPECT_EQ(run.status, kMisused);
  EXPECT_THAT(run.err, AllOf(HasSubstr("it is no regular file"), HasSubstr("or - for standard input"),
                             Not(HasSubstr("or a directory of them"))));
}

}  // namespace
}  // namespace sluice::test
