// SPDX-License-Identifier: Apache-2.0
// Suites as they run: what is kept of one that ends well, fails, dies, hangs, is missing or is interrupted.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <run.hpp>
#include <sstream>
#include <string>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "made_up.hpp"

namespace bench_test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr Suite kUnruly{"unruly", 1s, 1s, ""};

std::vector<SuiteResult> run(const std::string& filter, const Progress& progress, std::vector<Suite> suites) {
  RunRequest request;
  request.suites = std::move(suites);
  request.quick = true;
  request.filter = filter;
  request.directory = UNRULY_DIRECTORY;
  request.allowance = 1min;
  return run_suites(request, progress);
}

SuiteResult run(const std::string& filter) {
  return run(filter, [](Stage, const std::string&) {}, {kUnruly}).front();
}

// How many processes have that name.
int processes_named(const std::string& wanted) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    std::ifstream file{entry.path() / "comm"};
    std::string name;
    if (std::getline(file, name) && name == wanted) ++count;
  }
  return count;
}

TEST(ASuite, ThatEndsWellHasFiveRoundsOfEveryBenchmark) {
  const SuiteResult result = run("ends/");
  EXPECT_EQ(result.outcome, Outcome::completed) << result.words;
  EXPECT_THAT(result.words, IsEmpty());
  ASSERT_EQ(result.benchmarks.size(), 2U);
  EXPECT_EQ(result.benchmarks[0].name.text(), "ends/well");
  EXPECT_EQ(result.benchmarks[1].name.kind, Kind::baseline);
  for (const Benchmark& each : result.benchmarks) {
    EXPECT_EQ(each.rounds.size(), 5U);
    EXPECT_EQ(each.rounds[0].iterations, 10U);
    EXPECT_EQ(each.rounds[0].figures.count("items_per_second"), 1U);
    EXPECT_EQ(each.rounds[0].figures.count("others_percent"), 1U);
  }
}

// What it says by itself; its status is expected to be 0.
std::string said_by_itself(const std::string& arguments) {
  const std::string command = std::string{UNRULY_DIRECTORY} + "/bench_unruly " + arguments + " 2>&1";
  FILE* suite = ::popen(command.c_str(), "r");
  if (suite == nullptr) return {};
  std::string words;
  for (int byte = std::fgetc(suite); byte != EOF; byte = std::fgetc(suite))
    words += static_cast<char>(byte);
  EXPECT_EQ(::pclose(suite), 0);
  return words;
}

TEST(ASuite, ByItselfTellsOfTheMachineAndNotHowTheLibraryWasBuilt) {
  EXPECT_THAT(said_by_itself("--quick --benchmark_filter=ends/"),
              AllOf(HasSubstr("Run on ("), HasSubstr("ends/well"), Not(HasSubstr("DEBUG"))));
}

TEST(ASuite, HasAHelpOf80ColumnsThatKnowsItsOwnOptionsAndEndsWithThreeExamples) {
  const std::string help = said_by_itself("--quick --help");
  EXPECT_EQ(help, said_by_itself("-h"));
  EXPECT_THAT(help, AllOf(HasSubstr("usage: bench_unruly [options]"), HasSubstr("\n  --peers "),
                          HasSubstr("\n  --benchmark_filter=REGEX\n")));
  std::istringstream lines{help};
  std::size_t examples = 0;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 80U) << line;
    examples += line.starts_with("  bench_unruly ") ? 1U : 0U;
  }
  EXPECT_EQ(examples, 3U);
}

TEST(ASuite, GetsToKnowWhetherPeersAreWanted) {
  RunRequest request;
  request.suites = {kUnruly};
  request.quick = true;
  request.peers = true;
  request.filter = "ends/";
  request.directory = UNRULY_DIRECTORY;
  EXPECT_EQ(run_suites(request, [](Stage, const std::string&) {}).front().benchmarks.size(), 3U);
}

TEST(ASuite, WithABenchmarkThatFailsRunsTheOthers) {
  const SuiteResult result = run("ends/well|fails/benchmark");
  EXPECT_EQ(result.outcome, Outcome::completed) << result.words;
  ASSERT_EQ(result.benchmarks.size(), 2U);
  EXPECT_EQ(result.benchmarks[1].fault(), "3 events were lost");
  EXPECT_EQ(result.benchmarks[0].fault(), "");
}

TEST(ASuite, ThatEndsWithAnotherStatusIsToldInItsWords) {
  const SuiteResult result = run("fails/status");
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_THAT(result.words, AllOf(HasSubstr("it ended with status 3"), HasSubstr("there is no more memory")));
}

TEST(ASuite, ThatDiesIsToldWithItsSignal) {
  const SuiteResult result = run("fails/signal");
  EXPECT_EQ(result.outcome, Outcome::failed);
  // A sanitizer turns the signal into words and a status of its own.
  EXPECT_THAT(result.words, testing::AnyOf(HasSubstr("it died of signal 11"), HasSubstr("SEGV")));
}

TEST(ASuite, ThatIsNotThereIsNamedAndTheOthersRun) {
  const std::vector<SuiteResult> results =
      run("ends/", [](Stage, const std::string&) {}, {Suite{"absent", 1s, 1s, ""}, kUnruly});
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].outcome, Outcome::missing);
  EXPECT_THAT(results[0].words, AllOf(HasSubstr("bench_absent"), HasSubstr("No such file")));
  EXPECT_EQ(results[1].outcome, Outcome::completed);
}

TEST(ASuite, ThatTheFilterLeavesNothingOfIsNoFailure) {
  const SuiteResult result = run("nothing_of_this_name");
  EXPECT_EQ(result.outcome, Outcome::completed);
  EXPECT_THAT(result.benchmarks, IsEmpty());
}

TEST(ASuite, ThatHangsIsEndedWithAllThatItStarted) {
  // By a name that no other test's processes have.
  const std::string suite = "u" + std::to_string(::getpid());
  const std::filesystem::path directory = std::filesystem::temp_directory_path() / ("bench-" + suite);
  std::filesystem::create_directory(directory);
  std::filesystem::create_symlink(UNRULY_DIRECTORY "/bench_unruly", directory / ("bench_" + suite));
  RunRequest request;
  request.suites = {Suite{suite, 0s, 0s, ""}};
  request.filter = "fails/to_end";
  request.directory = directory;
  request.allowance = 3s;
  const SuiteResult result = run_suites(request, [](Stage, const std::string&) {}).front();
  EXPECT_EQ(result.outcome, Outcome::timed_out);
  EXPECT_THAT(result.words, HasSubstr("it had not ended after 3 s"));
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (processes_named("bench_" + suite) != 0 && std::chrono::steady_clock::now() < deadline)
    ::usleep(10'000);
  EXPECT_EQ(processes_named("bench_" + suite), 0);
  std::filesystem::remove_all(directory);
}

TEST(AnInterrupt, EndsTheSuiteAndLeavesOutTheOthers) {
  const auto interrupt = [](Stage stage, const std::string&) {
    if (stage == Stage::running) ::kill(::getpid(), SIGINT);
  };
  const std::vector<SuiteResult> results = run("fails/to_end", interrupt, {kUnruly, kUnruly});
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].outcome, Outcome::interrupted);
  EXPECT_EQ(results[1].outcome, Outcome::not_run);
}

TEST(Progress, TellsWhatRunsAndHowLongAtMost) {
  std::vector<std::string> told;
  run("ends/", [&told](Stage, const std::string& text) { told.push_back(text); }, {kUnruly});
  ASSERT_GE(told.size(), 2U);
  EXPECT_EQ(told.front(), "unruly: 0 s of about 1 s, at most 62 s");
  EXPECT_THAT(told.back(), HasSubstr("unruly: completed after"));
}

}  // namespace
}  // namespace bench_test
