// SPDX-License-Identifier: Apache-2.0
// The market program at its edges: options that cannot be, two runs into one directory, runs that are
// interrupted, outputs that are full. An end that is no success is never told as one.
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <sys/file.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "programs.hpp"

namespace {

using programs::content;
using programs::Finished;
using programs::run_market;
using programs::shell_word;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string trade(int id) {
  return "172316125617221" + std::to_string(1000 + id) +
         R"( {"stream":"aaabbb@trade","data":{"s":"AAABBB","t":)" + std::to_string(id) +
         R"(,"p":"1","q":"1","T":1000,"m":true}})" + "\n";
}

std::string merged_trade(int id) {
  std::string line = trade(id);
  return line.replace(line.find(' '), 1, "\tspot\tAAABBB\t");
}

class MarketEdges : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream{scratch_ / name, std::ios::binary} << text;
    return shell_word(scratch_ / name);
  }
  std::string input() const { return write("spot_aaabbb_20240808", trade(1) + trade(2)); }
  std::string out() const { return " --out " + shell_word(scratch_ / "out") + " "; }
  // Whatever is no answer.
  std::vector<std::string> leftovers() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{scratch_ / "out"}) {
      if (entry.path().extension() != ".tsv") names.push_back(entry.path().filename());
    }
    return names;
  }

  programs::TemporaryDirectory scratch_;
};

TEST_F(MarketEdges, RefusesNumbersThatCannotBeAndSaysWhatIsAllowed) {
  for (const std::string option : {"--kill -1", "--kill 18446744073709551615", "--seed -1", "--kill-every 0",
                                   "--kill-every -3", "--kill-every 1e300", "--kill-every nan"}) {
    const Finished run = run_market("--input " + input() + out() + option);
    EXPECT_EQ(run.status, 2) << option;
    EXPECT_THAT(run.errors,
                AllOf(HasSubstr(option.substr(0, option.find(' '))),
                      ::testing::ContainsRegex("takes a number (from|of at least) |is no number")))
        << option;
  }
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out"));
}

TEST_F(MarketEdges, NamesAnOptionThatItDoesNotKnowAndTheNearest) {
  for (const std::string& options :
       std::vector<std::string>{"--kil 3", "--input x --kil=3", "--input x --out y --kil 3"}) {
    const Finished run = run_market(options);
    EXPECT_EQ(run.status, 2) << options;
    EXPECT_THAT(run.errors, AllOf(HasSubstr("no option --kil;"), HasSubstr("did you mean --kill?")))
        << options;
  }
  EXPECT_THAT(run_market("--quite --input x").errors, HasSubstr("did you mean --quiet?"));
}

TEST_F(MarketEdges, TakesAnEmptyPathForAnError) {
  for (const std::string& options : std::vector<std::string>{
           "--input '' --out " + shell_word(scratch_ / "out"), "--input " + input() + " --out ''"}) {
    const Finished run = run_market(options);
    EXPECT_EQ(run.status, 1) << run.errors;
    EXPECT_THAT(run.errors, HasSubstr("error: cannot ")) << options;
  }
}

TEST_F(MarketEdges, SaysThatItsWorkingDirectoryIsGoneAndNeedsNoneWithAbsolutePaths) {
  const std::string gone = shell_word(scratch_ / "gone");
  const std::string absolute = input();
  const auto run = [&](const std::string& variables) {
    return programs::run_script("(mkdir " + gone + " && cd " + gone + " && rmdir " + gone + " && " +
                                variables + " exec " + programs::market_program() + " --quiet --input " +
                                absolute + out() + ")");
  };
  const Finished without = run("");
  EXPECT_NE(without.status, 0);
  EXPECT_LE(without.status, 2);
  EXPECT_THAT(without.errors, AllOf(HasSubstr("error: cannot "), HasSubstr("working directory")));
  const Finished with = run("SLUICE_REPORT_PATH=" + shell_word(scratch_ / "reports"));
  EXPECT_EQ(with.status, 0) << with.errors;
  EXPECT_EQ(programs::rows(scratch_ / "out/trades.tsv").size(), 1U);
}

TEST_F(MarketEdges, RefusesADirectoryInWhichAnotherRunWrites) {
  const std::string path = input();
  ASSERT_EQ(run_market("--input " + path + out()).status, 0);
  const std::string before = content(scratch_ / "out/trades.tsv");
  const int fd = ::open((scratch_ / "out").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0) << "a run that has ended holds its lock";
  const Finished second = run_market("--input " + write("spot_aaabbb_20240809", trade(9)) + out());
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.errors, HasSubstr("another run writes into it"));
  EXPECT_EQ(content(scratch_ / "out/trades.tsv"), before);
  ::close(fd);
  EXPECT_EQ(run_market("--input " + path + out()).status, 0);
}

TEST_F(MarketEdges, RefusesTheSecondOfTwoRunsAtOnce) {
  const std::string fifo = shell_word(scratch_ / "fifo");
  const std::string market = programs::market_program() + " --quiet" + out();
  // The first waits for its pipe until the second has ended.
  const Finished both = programs::run_script(
      "(mkfifo " + fifo + "; exec 9<>" + fifo + "; " + market + "--input - <&9 9>&- & exec 9<>" + fifo +
      "; pid=$!; while ! test -e " + shell_word(scratch_ / "out/.trades.part") + "; do sleep 0.01; done; " +
      market + "--input " + input() + "; echo second $?; kill -TERM $pid; wait $pid; echo first $?)");
  EXPECT_THAT(both.output, AllOf(HasSubstr("second 1\n"), HasSubstr("first 143\n"))) << both.errors;
  EXPECT_THAT(both.errors, HasSubstr("another run writes into it"));
}

TEST_F(MarketEdges, WaitsForAPipeThatPausesForLongerThanAWorkerMayHang) {
  const std::string feed =
      "(cat " + write("one", merged_trade(1)) + "; sleep 1.5; cat " + write("two", merged_trade(2)) + ")";
  const std::string fifo = shell_word(scratch_ / "fifo");
  const Finished run = programs::run_script("mkfifo " + fifo + "; " + feed + " > " + fifo + " & " +
                                            programs::market_program() +
                                            " --quiet --set watchdog.deadline=300ms --input " + fifo + out());
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(content(scratch_ / "out/trades.tsv"), HasSubstr("AAABBB\t2\t"));
}

TEST_F(MarketEdges, RefusesAPipeBesideFiles) {
  const Finished run = run_market("--input - " + input() + out() + "< /dev/null");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("beside files"));
}

// Runs `words` with a standard input that has what is in `some`, and no end; sends it the signal once `part` is there.
std::string interrupt(const std::string& words, const std::string& fifo, const std::string& some,
                      const std::string& part, int signal) {
  // What a shell starts in the background ignores SIGINT.
  return "(mkfifo " + fifo + "; exec 9<>" + fifo + "; cat " + some + " >&9; env --default-signal=INT " +
         words + "<&9 & pid=$!; while ! test -e " + part + "; do sleep 0.01; done; sleep 0.3; kill -" +
         std::to_string(signal) + " $pid; wait $pid; echo status $?)";
}

TEST_F(MarketEdges, PublishesNothingOverCompleteAnswersWhenItIsInterrupted) {
  ASSERT_EQ(run_market("--input " + input() + out()).status, 0);
  const std::string before = content(scratch_ / "out/trades.tsv");
  const std::string words = programs::market_program() + " --quiet --input -" + out();
  for (const auto& [signal, status] : {std::pair{SIGTERM, 143}, std::pair{SIGINT, 130}}) {
    const std::string fifo = shell_word(scratch_ / ("fifo" + std::to_string(signal)));
    const Finished run = programs::run_script(interrupt(words, fifo, write("some", merged_trade(5)),
                                                        shell_word(scratch_ / "out/.trades.part"), signal));
    EXPECT_THAT(run.output, HasSubstr("status " + std::to_string(status) + "\n")) << run.errors;
    EXPECT_THAT(run.errors, HasSubstr("not read to its end"));
    EXPECT_EQ(content(scratch_ / "out/trades.tsv"), before) << signal;
    EXPECT_THAT(leftovers(), testing::IsEmpty()) << signal;
  }
}

TEST_F(MarketEdges, LeavesNothingBesideItsAnswers) {
  ASSERT_EQ(run_market("--input " + input() + out()).status, 0);
  EXPECT_THAT(leftovers(), testing::IsEmpty());
  ASSERT_EQ(run_market("--input " + input() + out() + "--set stage.book.state.bytes=4KiB").status, 1);
  EXPECT_THAT(leftovers(), testing::IsEmpty()) << "after a run that failed";
}

TEST_F(MarketEdges, EndsWithAStatusWhenItsSummaryCannotBeWritten) {
  const Finished run = run_market("--input " + input() + out() + ">/dev/full");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("standard output"));
  EXPECT_EQ(programs::rows(scratch_ / "out/trades.tsv").size(), 1U) << "the answers are written all the same";
  EXPECT_EQ(run_market("--help >/dev/full").status, 1);
}

TEST_F(MarketEdges, EndsWithAStatusWhenEveryLineIsRejected) {
  const Finished run = run_market("--input " + write("spot_aaabbb_20240808", "no\ncapture\n") + out());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, AllOf(HasSubstr("all 2 lines were rejected"), HasSubstr("rejected.tsv")));
  EXPECT_EQ(programs::rows(scratch_ / "out/rejected.tsv").size(), 2U);
}

TEST_F(MarketEdges, EndsWithAStatusWhenAnAnswerCannotBePublished) {
  std::filesystem::create_directories(scratch_ / "out/trades.tsv/in-the-way");
  const Finished run = run_market("--input " + input() + out());
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("trades.tsv"));
}

TEST_F(MarketEdges, EscapesFileNamesAndReasonsInItsTablesAndMessages) {
  const std::string name = "spot_aaa\tb\nc\x1b[31m\xff_20240808";
  const Finished run = run_market("--input " + write(name, "no\n") + out());
  const auto rejected = programs::rows(scratch_ / "out/rejected.tsv");
  ASSERT_EQ(rejected.size(), 1U);
  EXPECT_THAT(rejected[0].at(0), HasSubstr(R"(spot_aaa\tb\nc\x1b[31m\xff_20240808)"));
  const Finished missing = run_market("--input " + shell_word(scratch_ / "no\x1b]0;here") + out());
  EXPECT_THAT(missing.errors, AllOf(HasSubstr(R"(no\x1b]0;here)"), Not(HasSubstr("\x1b"))));
}

}  // namespace
