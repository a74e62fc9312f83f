// SPDX-License-Identifier: Apache-2.0
// `sluice bench` as a user runs it: what it prints and writes, what it refuses before it runs anything.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <report.hpp>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "made_up.hpp"

namespace bench_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Finished {
  int status = -1;
  std::string output;
  std::string errors;
};

class TheCommand : public testing::Test {
 protected:
  TheCommand() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bench-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) directory_ = pattern;
  }
  ~TheCommand() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  TheCommand(const TheCommand&) = delete;
  TheCommand& operator=(const TheCommand&) = delete;

  std::string file(const std::string& name) const { return (directory_ / name).string(); }

  std::string content(const std::string& name) const {
    std::ifstream stream{file(name), std::ios::binary};
    return {std::istreambuf_iterator<char>{stream}, {}};
  }

  void write(const std::string& name, const std::string& text) const { std::ofstream{file(name)} << text; }

  Finished bench(const std::string& arguments, const std::string& program = SLUICE_PROGRAM) const {
    const std::string command =
        "'" + program + "' bench " + arguments + " >'" + file("out") + "' 2>'" + file("err") + "' </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content("out"), content("err")};
  }

  void expect_refused(const std::string& arguments, const std::string& why) const {
    const Finished run = bench(arguments);
    EXPECT_EQ(run.status, 2) << arguments;
    EXPECT_THAT(run.errors, AllOf(HasSubstr(why), Not(HasSubstr("bench: lane")))) << arguments;
    EXPECT_EQ(run.output, "") << arguments;
  }

 private:
  std::filesystem::path directory_;
};

TEST_F(TheCommand, RunsASuiteAndWritesWhatItMeasured) {
  const Finished run = bench("lane --quick --filter 'round_trip/lane' --check --json '" + file("a.json") +
                             "' --html '" + file("a.html") + "'");
  // With one processing unit it says so.
  if (run.errors.find("one processing unit only") != std::string::npos) GTEST_SKIP() << run.errors;
  EXPECT_EQ(run.status, 0) << run.output << run.errors;
  EXPECT_THAT(run.errors, AllOf(HasSubstr("bench: lane: 0 s of about"), HasSubstr("bench: lane: completed")));
  EXPECT_THAT(run.output, AllOf(HasSubstr("round_trip"), HasSubstr("hold, "), HasSubstr("not measured"),
                                Not(HasSubstr("\x1b"))));
  EXPECT_THAT(content("a.html"), HasSubstr("suite-lane"));
  const Report report = read_report(file("a.json"));
  EXPECT_TRUE(report.quick);
  ASSERT_EQ(report.suites.size(), 1U);
  ASSERT_FALSE(report.suites[0].benchmarks.empty());
  EXPECT_EQ(report.suites[0].benchmarks[0].rounds.size(), 5U);
  EXPECT_THAT(report.machine.hwloc_xml, HasSubstr("<topology"));
  EXPECT_FALSE(report.settings.empty());
  EXPECT_THAT(report.placement, HasSubstr("worker"));
}

TEST_F(TheCommand, TakesAnEarlierRunForThisOne) {
  write("old.json", to_json(report({suite("lane", {steady("one_way/lane/8B", "items_per_second", 2)})})));
  write("new.json", to_json(report({suite("lane", {steady("one_way/lane/8B", "items_per_second", 3)})})));
  const Finished run = bench("--from '" + file("new.json") + "' --compare '" + file("old.json") +
                             "' --html '" + file("c.html") + "'");
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("1.50            better"));
  EXPECT_THAT(content("c.html"), HasSubstr("id=\"comparison\""));
}

TEST_F(TheCommand, RefusesWhatItCannotDoBeforeItRunsAnything) {
  write("cut.json", "{\"product\": \"sluice bench\"");
  write("foreign.json", "{\"a\": 1}");
  expect_refused("lan", "there is no such suite (did you mean lane?)");
  expect_refused("everything", "there are lane, user, hop, pipeline");
  expect_refused("lane --json '" + file("absent") + "/a.json'",
                 "cannot write " + file("absent") + "/a.json: No such file or directory");
  expect_refused("lane --html /proc", "cannot write /proc: Is a directory");
  expect_refused("lane --json '" + file("x") + "' --html '" + file("x") + "'", "the same file as --json");
  expect_refused("lane --compare '" + file("absent.json") + "'", "No such file or directory");
  expect_refused("lane --compare '" + file("cut.json") + "'", "it is no JSON, or cut off");
  expect_refused("lane --compare '" + file("foreign.json") + "'", "it is no result of sluice bench");
  expect_refused("lane --from '" + file("foreign.json") + "'", "nothing is run then");
  expect_refused("--swift", "there is no option --swift");
}

TEST_F(TheCommand, ExplainsItselfByTheNameThatItsUsersKnow) {
  const Finished run = bench("--help");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.output,
              AllOf(HasSubstr("Usage: sluice bench [OPTIONS] [SUITE...]"), HasSubstr("--compare FILE"),
                    HasSubstr("lane"), HasSubstr("130 if interrupted")));
  EXPECT_EQ(run.errors, "");
}

TEST_F(TheCommand, IsCompletedWithSuitesAndFilesWhereItTakesThem) {
  const Finished run = bench("--completion-words");
  EXPECT_THAT(run.output, AllOf(testing::StartsWith("\tnone\t"), HasSubstr(" lane user "),
                                testing::EndsWith("\t--json --html --compare --from\t--filter\n")));
}

// The sluice command does not hold the runner: it becomes another program.
TEST_F(TheCommand, SaysWhichProgramIsMissingBesideIt) {
  std::filesystem::copy_file(SLUICE_PROGRAM, file("sluice"));
  const Finished run = bench("lane --quick", file("sluice"));
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, AllOf(HasSubstr(file("sluice-bench") + ", which stands beside the sluice command"),
                                HasSubstr("No such file or directory")));
  EXPECT_EQ(run.output, "");
}

TEST_F(TheCommand, SaysWhenADiskIsFull) {
  write("old.json", to_json(report({})));
  const Finished run = bench("--from '" + file("old.json") + "' --json /dev/full");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("cannot write /dev/full: No space left on device"));
}

}  // namespace
}  // namespace bench_test
