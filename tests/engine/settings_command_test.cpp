// SPDX-License-Identifier: Apache-2.0
// `sluice config` and `sluice dead` as a user runs them: what it prints, where, and its exit status.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/settings.hpp>

#include "config_lint.hpp"
#include "errors.hpp"
#include "run_command.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST(ConfigShow, PrintsEveryValueAndItsOrigin) {
  const Finished run = sluice("config show");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.err, IsEmpty());
  EXPECT_THAT(run.out, StartsWith("setting"));
  EXPECT_THAT(run.out, ContainsRegex("\nlane.slots +4096 +default\n"));
}

TEST(ConfigShow, TakesTheEnvironmentTheProfileAndAssignments) {
  const Finished run = sluice("config show --profile latency --set batch.events=7 --set stage.bars.workers=2",
                              "SLUICE_PROFILE=shared SLUICE_WATCHDOG_TICK=2ms");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, ContainsRegex("\nprofile +latency +command line\n"));
  EXPECT_THAT(run.out, ContainsRegex("\nlane.slots +1024 +profile latency\n"));
  EXPECT_THAT(run.out, ContainsRegex("\nbatch.events +7 +command line\n"));
  EXPECT_THAT(run.out, ContainsRegex("\nwatchdog.tick +2ms +environment SLUICE_WATCHDOG_TICK\n"));
  EXPECT_THAT(run.out, ContainsRegex("\nstage.bars.workers +2 +command line\n"));
}

TEST(ConfigShow, PrintsTheValuesOfAStage) {
  const Finished run = sluice("config show --stage bars --set stage.bars.lane.slots=2K");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, ContainsRegex("\nlane.slots +2048 +command line\n"));
}

TEST(ConfigExplain, TellsAllAboutASetting) {
  const Finished run = sluice("config explain wait.strategy");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, AllOf(StartsWith("wait.strategy: choice"), HasSubstr("SLUICE_WAIT_STRATEGY")));
}

TEST(ConfigKeys, PrintsBareNamesForCompletion) {
  const Finished run = sluice("config keys");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, HasSubstr("\nlane.slots\nlane.bytes\n"));
}

// None is refused: not by `sluice config explain`, nor as a setting, once it has the name of a stage.
TEST(ConfigKeys, PrintsThemAsTheyAreSaid) {
  std::istringstream keys{sluice("config keys").out};
  std::string workers;
  for (std::string key; std::getline(keys, key);) {
    if (key.ends_with("workers")) workers = key;
    EXPECT_EQ(error_of([&] { static_cast<void>(Settings{}.explain(key)); }), "");
    if (const std::size_t name = key.find("<name>"); name != std::string::npos) key.replace(name, 6, "parse");
    EXPECT_THAT(error_of([&] { Settings{}.set(key, "\n"); }),
                AllOf(Not(HasSubstr("no such setting")), Not(HasSubstr("are said of one stage"))));
  }
  EXPECT_EQ(workers, "stage.<name>.workers");
}

TEST(ConfigLint, SaysNothingAgainstTheDefaultsAndTheProfiles) {
  for (const char* profile : {"balanced", "latency", "throughput", "shared"}) {
    const Finished run = sluice(std::string{"config lint --profile "} + profile);
    EXPECT_EQ(run.status, 0) << run.out;
    EXPECT_EQ(run.out, "nothing to say against these settings\n");
  }
}

TEST(ConfigLint, NamesWhatAStartRefusesAndWhatLosesThePromise) {
  const auto lint = [](const std::string& settings, int status) {
    const Finished run = sluice("config lint " + settings);
    EXPECT_EQ(run.status, status) << settings << "\n" << run.out;
    EXPECT_THAT(run.err, IsEmpty()) << settings;
    return run.out;
  };
  EXPECT_THAT(lint("--set outside.after=checkpoint", 1),
              AllOf(StartsWith("error: outside.after=checkpoint waits for checkpoints, and none are made"),
                    HasSubstr("set checkpoint.path"), HasSubstr("[command line]")));
  EXPECT_THAT(lint("--set stage.out.outside.after=checkpoint", 1), HasSubstr("stage.out.outside.after"));
  const std::string kept = "--set outside.after=checkpoint --set checkpoint.path=/nonexistent/checkpoints ";
  EXPECT_THAT(lint(kept, 0), StartsWith("nothing to say"));
  EXPECT_THAT(lint(kept + "--set checkpoint.sync=no", 3),
              StartsWith("warning: checkpoint.sync=no with outside.after"));
  EXPECT_THAT(lint(kept + "--set checkpoint.every=1min", 3), HasSubstr("waits that long"));
  EXPECT_THAT(lint(kept + "--set stage.a.lane.full=drop_newest", 3), HasSubstr("events are dropped then"));
  EXPECT_THAT(lint("--set lane.full=drop_newest", 3), HasSubstr("no event is lost holds no more"));
  EXPECT_THAT(lint("--set checkpoint.path=/dev/shm/checkpoints", 3), HasSubstr("gone with the machine"));
  EXPECT_THAT(lint("--set checkpoint.keep=5", 3), HasSubstr("checkpoint.keep=5 does nothing"));
  EXPECT_THAT(lint("--set segment.path=/dev/shm/a --set memory.huge=2M", 1), HasSubstr("no huge pages"));
  EXPECT_THAT(lint("--set watchdog.deadline=2ms", 3), HasSubstr("is shorter than watchdog.tick=10ms"));
  EXPECT_THAT(lint("--set wait.strategy=spin --set wait.spin=1ms", 3), HasSubstr("polls for ever"));
  EXPECT_THAT(lint("--set restart.backoff=1min", 3), HasSubstr("is longer than restart.backoff_max=1s"));
}

TEST(ConfigLint, FindsEachFaultOfAFileOfTheEnvironmentAndOfTheCommandLine) {
  const std::string path = testing::TempDir() + "sluice_lint_" + std::to_string(::getpid());
  std::ofstream{path} << "lane.slot = 4K\n\nlane.bytes = 1 elephant\nprofile = shared\n";
  const Finished run = sluice("config lint '" + path + "' --set batch.events=none",
                              "SLUICE_UNDO_BYTES=much SLUICE_LOG_LEVEL=off");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.out, AllOf(HasSubstr("error: " + path + ":1: "), HasSubstr("lane.slots"),
                             HasSubstr("error: " + path + ":3: "), HasSubstr("SLUICE_UNDO_BYTES"),
                             HasSubstr("batch.events")));
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 4) << run.out;
  EXPECT_THAT(sluice("config lint /nonexistent").out, HasSubstr("No such file"));
  std::filesystem::remove(path);
}

#ifdef QUICKSTART_PROGRAM
TEST(ConfigLint, AsksAProgramForItsStages) {
  const std::string program = " -- '" QUICKSTART_PROGRAM "'";
  const Finished right = sluice("config lint --set stage.count.workers=1" + program);
  EXPECT_NE(right.status, 1) << right.out;
  const Finished wrong = sluice("config lint --set stage.cuont.workers=1" + program);
  EXPECT_EQ(wrong.status, 1) << wrong.out;
  EXPECT_THAT(wrong.out, AllOf(StartsWith("error: "), HasSubstr("count")));
}

TEST(ConfigLint, SaysWhatOfThePipelineLeadsNowhere) {
  const Finished run = sluice("config lint -- '" LOOSE_PROGRAM "'");
  EXPECT_EQ(run.status, 3) << run.out;
  EXPECT_THAT(run.out, HasSubstr("warning: output 1 of the source 'half' (long"));
  EXPECT_THAT(sluice("config lint -- '" QUICKSTART_PROGRAM "'").out, Not(HasSubstr("leads nowhere")));
}

TEST(ConfigLint, SaysWhatThePipelineTakesAndWhetherTheMachineHasIt) {
  const std::string program = " -- '" QUICKSTART_PROGRAM "'";
  EXPECT_THAT(sluice("config lint --set stage.count.workers=1" + program).out,
              ContainsRegex("\nthe pipeline takes about [0-9.]+ MiB of memory\n$"));
  const Finished large =
      sluice("config lint --set stage.count.workers=1 --set state.bytes=1TiB --set lane.slots=1G" + program);
  EXPECT_EQ(large.status, 1) << large.out;
  EXPECT_THAT(large.out,
              ContainsRegex("error: .*it takes [0-9]+ MiB and [0-9]+ MiB of memory are available"));
}
#endif

TEST(ConfigLint, ComparesThePipelineWithFileSystemsPoolsAndLimits) {
  Settings settings;
  settings.set("segment.path", "/dev/shm/words.segment");
  settings.set("memory.lock", "yes");
  command::LintedMachine machine;
  machine.pipeline_bytes = 64U << 20U;
  machine.segment_room = 80U << 20U;
  machine.lockable_bytes = 70U << 20U;
  EXPECT_THAT(command::lint_findings(settings, machine), IsEmpty());
  machine.segment_room = 63U << 20U;
  machine.lockable_bytes = 63U << 20U;
  const auto found = command::lint_findings(settings, machine);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(found.front().refused);
  EXPECT_EQ(found.front().what,
            "segment.path=/dev/shm/words.segment: the pipeline takes 64.0 MiB, and 63.0 MiB are free there");
  EXPECT_THAT(found.back().what, HasSubstr("memory.lock=yes, and this user may lock 63MiB"));
  Settings huge;
  huge.set("memory.huge", "2M");
  machine.segment_room.reset();
  machine.no_huge_pages = "it takes 32 and 3 are free";
  machine.huge_pages_remedy = "set more aside";
  const auto of_pages = command::lint_findings(huge, machine);
  ASSERT_EQ(of_pages.size(), 1U);
  EXPECT_EQ(of_pages.front().what, "memory.huge=2M: it takes 32 and 3 are free");
  EXPECT_EQ(of_pages.front().remedy, "set more aside");
}

TEST(ConfigDiff, ShowsWhatDiffersBetweenProfilesAndFiles) {
  const Finished profiles = sluice("config diff balanced shared", "SLUICE_LANE_SLOTS=7");
  EXPECT_EQ(profiles.status, 0);
  EXPECT_THAT(profiles.out, AllOf(ContainsRegex("^setting +balanced +shared\n"),
                                  ContainsRegex("\nlane.slots +4096 +512\n"), Not(HasSubstr("lane.full"))));
  const std::string path = testing::TempDir() + "sluice_diff_" + std::to_string(::getpid());
  std::ofstream{path} << "profile = shared\nstage.parse.workers = 4\nlane.full = fail\n";
  const Finished file = sluice("config diff shared '" + path + "'");
  EXPECT_THAT(file.out, AllOf(ContainsRegex("\nlane.full +block +fail\n"),
                              ContainsRegex("\nstage.parse.workers +- +4\n"), Not(HasSubstr("lane.slots"))));
  EXPECT_EQ(sluice("config diff '" + path + "' '" + path + "'").out, "no setting differs\n");
  std::filesystem::remove(path);
}

TEST(ConfigDiff, SaysOfANameThatItKnowsNeitherProfileNorFileOfIt) {
  const Finished near = sluice("config diff balanced blanced");
  EXPECT_EQ(near.status, 2);
  EXPECT_THAT(near.err, AllOf(HasSubstr("no profile and no file of that name; did you mean balanced?"),
                              Not(HasSubstr("API"))));
  EXPECT_THAT(sluice("config diff balanced market.cnf").err,
              AllOf(HasSubstr("no file of that name (profiles are balanced, latency, throughput and shared"),
                    Not(HasSubstr("API"))));
  EXPECT_THAT(sluice("config diff balanced ./market.cnf").err,
              AllOf(HasSubstr("market.cnf"), HasSubstr("No such file"), Not(HasSubstr("API"))));
}

TEST(ConfigReference, PrintsThePage) {
  const Finished run = sluice("config reference");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, AllOf(StartsWith("# Settings\n"), HasSubstr("\n## lane.slots\n")));
}

TEST(TheProgram, TellsItsVersionAndHelp) {
  EXPECT_THAT(sluice("--version").out, ContainsRegex("^sluice [0-9]+\\.[0-9]+\\.[0-9]+\n$"));
  const Finished help = sluice("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, HasSubstr("config"));
  EXPECT_THAT(sluice("config show --help").out, HasSubstr("--set KEY=VALUE"));
}

TEST(TheProgram, ExitsWithTwoAndItsHelpWhenItIsToldNothing) {
  const Finished run = sluice("");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.out, IsEmpty());
  EXPECT_THAT(run.err, HasSubstr("Usage: sluice"));
}

TEST(ABadSetting, ExitsWithTwoAndSaysWhatIsAllowed) {
  const Finished value = sluice("config show --set lane.slots=none");
  EXPECT_EQ(value.status, 2);
  EXPECT_THAT(value.out, IsEmpty());
  EXPECT_THAT(value.err, AllOf(StartsWith("sluice: cannot set lane.slots to \"none\" (command line)"),
                               HasSubstr("allowed: a whole number from 2 to 1T")));
  const Finished variable = sluice("config show", "SLUICE_LANE_SLOT=5");
  EXPECT_EQ(variable.status, 2);
  EXPECT_THAT(variable.err, HasSubstr("did you mean SLUICE_LANE_SLOTS?"));
  const Finished key = sluice("config explain lane.slot");
  EXPECT_EQ(key.status, 2);
  EXPECT_THAT(key.err, HasSubstr("did you mean lane.slots?"));
}

#ifdef QUICKSTART_PROGRAM
constexpr const char* kEightCores = "plan --topology 'pack:1 l3:1 core:8 pu:1' --pipeline ";

TEST(APlan, IsMadeForTheVeryPipelineOfAProgram) {
  const Finished run = sluice(kEightCores + std::string{QUICKSTART_PROGRAM});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out,
              AllOf(HasSubstr("\ncount/6 "), Not(HasSubstr("count/7")), HasSubstr("\nhost > count/0 ")))
      << "seven cores beside the host's, whatever this machine has";
  EXPECT_THAT(run.err, IsEmpty());
}

TEST(APlan, GoesByTheSettingsOfTheProgram) {
  const Finished run = sluice(kEightCores + std::string{QUICKSTART_PROGRAM},
                              "SLUICE_STAGE_COUNT_WORKERS=2 SLUICE_STAGE_COUNT_PLACE=core:5-6 "
                              "SLUICE_PLACEMENT_POLICY=float");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(ContainsRegex("\ncount/0 +5 "), ContainsRegex("\ncount/1 +6 "),
                             HasSubstr("policy float\n")));
  const Finished wrong =
      sluice(kEightCores + std::string{QUICKSTART_PROGRAM}, "SLUICE_STAGE_COUNT_PLACE=core:9");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("the place of count, at character 6"));
}

TEST(APlan, IsMadeForTheMarketAndItsArguments) {
  const std::string directory = testing::TempDir() + "sluice_plan_" + std::to_string(::getpid());
  const Finished run =
      sluice(kEightCores + std::string{MARKET_PROGRAM} + " -- --input - --out '" + directory + "'");
  ::rmdir(directory.c_str());
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("\nparse/1 "), Not(HasSubstr("parse/2")), HasSubstr("\nbook/0 "),
                             HasSubstr("memory: node 0 ")));
}

TEST(APlan, IsRefusedForWhatDoesNotAnswerWithWhatItSays) {
  const Finished other = sluice("plan --pipeline /bin/true");
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("'/bin/true': it ended with status 0 and has made no Engine"));
  const Finished bad = sluice("plan --pipeline " MARKET_PROGRAM " -- --nonsense");
  EXPECT_EQ(bad.status, 2);
  EXPECT_THAT(bad.err, AllOf(HasSubstr("ended with status 2"), HasSubstr("it says: ")));
  const Finished slow = sluice("plan --within 50ms --pipeline /bin/sleep -- 600");
  EXPECT_EQ(slow.status, 2);
  EXPECT_THAT(slow.err, HasSubstr("it has made no Engine within 50ms"));
  const Finished none = sluice("plan --pipeline ./nothing-here");
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err, HasSubstr("cannot start './nothing-here'"));
  EXPECT_THAT(sluice("plan --pipeline read:1 -- --input x").err, HasSubstr("it is no program"));
}
#endif

TEST(APlan, IsRefusedForPlacesOfStagesThatAreNoneOrHaveTwo) {
  const std::string plan = "plan --topology 'core:8 pu:1' --pipeline 'read:1 parse:4' ";
  const Finished none = sluice(plan + "--place prase@0-3");
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err,
              HasSubstr("the stage prase: the pipeline has none of that name (its stages are read, parse)"));
  const Finished two = sluice(plan + "--place parse@0-3 --place parse@4-7");
  EXPECT_EQ(two.status, 2);
  EXPECT_THAT(two.err, HasSubstr("the stage parse: it has two places"));
}

TEST(APlan, IsMadeForAMachineInAFileOfAnyName) {
  const Finished run = sluice("plan --topology /nowhere/machine.topology --pipeline read:1");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("cannot read the topology from /nowhere/machine.topology: No such file"));
}

// What it makes is built by tests/consumer.
TEST(ANewProject, IsRefusedWhereSomethingIsAndForANameThatCannotBe) {
  const auto refusal = [](const std::string& arguments) {
    const Finished run = sluice("new " + arguments);
    EXPECT_EQ(run.status, 2) << arguments;
    EXPECT_THAT(run.out, IsEmpty()) << arguments;
    return run.err;
  };
  EXPECT_THAT(refusal("Words"), HasSubstr("'Words': a name begins with a letter and is made of a-z, 0-9"));
  EXPECT_THAT(refusal("../words"), HasSubstr("a name begins with a letter"));
  EXPECT_THAT(refusal("''"), HasSubstr("a name begins with a letter"));
  EXPECT_THAT(refusal("test"), HasSubstr("CMake has a target of that name"));
  EXPECT_THAT(refusal(std::string(41, 'a')), HasSubstr("40 characters at most"));

  const std::string directory = testing::TempDir() + "sluice_new_" + std::to_string(::getpid());
  const std::string there = directory + "/words";
  std::filesystem::create_directories(there);
  const std::string command = "cd '" + directory + "' && '" SLUICE_PROGRAM "' new words 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  EXPECT_THAT(drained(pipe), HasSubstr("cannot make the directory 'words': File exists"));
  EXPECT_EQ(WEXITSTATUS(::pclose(pipe)), 2);
  EXPECT_TRUE(std::filesystem::is_empty(there)) << "what is there stays as it is";
  clear_away(directory);
}

TEST(TheDoctor, AndCalibrateRefuseUnitsThatAreNotHere) {
  const Finished doctor = sluice("doctor --for 1ms --units 0,9999");
  EXPECT_EQ(doctor.status, 2);
  EXPECT_THAT(doctor.err,
              AllOf(HasSubstr("\"0,9999\": this machine has no 9999"), HasSubstr("its units are 0")));
  const Finished calibrate = sluice("calibrate --no-keep --for 1ms --units 9998-9999");
  EXPECT_EQ(calibrate.status, 2);
  EXPECT_THAT(calibrate.err, HasSubstr("\"9998-9999\": this process may not run on 9998-9999; allowed are "));
}

TEST(TheDoctor, SaysThatNobodyHasHeardIt) {
  const Finished run = sluice("doctor --for 1ms >/dev/full");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("cannot write to standard output: No space left on device\n"));
}

TEST(AFullDisk, IsAnError) {
  const Finished run = sluice("config reference >/dev/full");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("cannot write"));
}

TEST(TheOutput, HasNoBlanksAtLineEndsAndNoEscapes) {
  for (const char* arguments : {"config show", "config explain lane.slots", "config reference"}) {
    EXPECT_THAT(sluice(arguments).out, AllOf(Not(HasSubstr(" \n")), Not(HasSubstr("\x1b"))));
  }
}

// What lies in the directory of reports beside letters, or instead of them.
TEST(DeadLetters, AreLookedForWhereThePipelineSaidAndNoPipeIsWaitedFor) {
  const std::filesystem::path directory = testing::TempDir() + "sluice_dead_" + std::to_string(::getpid());
  std::filesystem::create_directories(directory / "one");
  std::filesystem::create_directories(directory / "two");
  const auto list = [&](const std::filesystem::path& path) {
    const Finished run = sluice("dead list '" + path.string() + "'");
    EXPECT_EQ(run.status, 2);
    return run.err;
  };
  EXPECT_THAT(list(directory), HasSubstr("there are none"));
  ASSERT_EQ(::mkfifo((directory / "one/pipe.dead").c_str(), 0600), 0);
  EXPECT_THAT(list(directory / "one/pipe.dead"), HasSubstr("it is no regular file"));
  std::filesystem::create_symlink("/dev/zero", directory / "one/zero.dead");
  EXPECT_THAT(list(directory),
              AllOf(HasSubstr("pipe.dead"), HasSubstr("zero.dead"), HasSubstr("no regular file")));
  std::ofstream{directory / "two/foreign.dead"} << "something else";
  EXPECT_THAT(list(directory), AllOf(HasSubstr("one of them"), HasSubstr("/one, "), HasSubstr("/two")));
  EXPECT_THAT(list(directory / "two"), AllOf(HasSubstr("foreign.dead"), HasSubstr("move what is no file")));
  clear_away(directory);
}

}  // namespace
}  // namespace sluice::test
