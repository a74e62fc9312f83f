// SPDX-License-Identifier: Apache-2.0
// sluice::main: the program around a pipeline, its exit statuses and what it does with interrupts.

#include <algorithm>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <sys/stat.h>

#include <sluice/cli.hpp>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

class Program : public WithProcesses {
 protected:
  // The exit status of a program around `pipeline`; what it says is in out_ and err_.
  int run(const Pipeline& pipeline, std::vector<std::string> arguments) {
    return in_a_program(std::move(arguments),
                        [&](int argc, char** argv) { return sluice::main(argc, argv, pipeline); });
  }
  // The same for a main() of another kind.
  int in_a_program(std::vector<std::string> arguments, const std::function<int(int, char**)>& main) {
    arguments.insert(arguments.begin(), "program");
    std::vector<char*> argv;
    argv.reserve(arguments.size());
    for (std::string& argument : arguments)
      argv.push_back(argument.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int status = main(static_cast<int>(argv.size()), argv.data());
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return status;
  }

  std::string out_;
  std::string err_;
};

struct Swallow {
  void operator()(const Item&) const {}
};

struct Complain {
  explicit Complain(Worker& worker) : worker{worker} {}
  void operator()(const Item& item) const {
    if (item.number == 5) worker.report("five is odd");
  }
  Worker& worker;
};

struct ComplainAndDie {
  explicit ComplainAndDie(Worker& worker) : worker{worker} {}
  void operator()(const Item& item) const {
    if (item.number == 5) worker.report("five is odd");
    if (item.number == 50) throw std::runtime_error{"fifty is too much"};
  }
  Worker& worker;
};

template <class Handler>
Pipeline numbers_to(const char* stage, const StageOptions& options = {}) {
  Pipeline pipeline{"numbers"};
  pipeline.source<Numbers>("numbers", 100U).to<Handler>(stage, options);
  return pipeline;
}

TEST_F(Program, RunsItsPipelineToTheEndAndShowsItsStages) {
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {}), kExitOk);
  EXPECT_THAT(out_,
              AllOf(HasSubstr("numbers"), HasSubstr("swallow"), HasSubstr("100"), HasSubstr("finished")));
  EXPECT_EQ(err_, "");
}

TEST_F(Program, SaysNothingWhenAskedToBeQuiet) {
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--quiet"}), kExitOk);
  EXPECT_EQ(out_ + err_, "");
}

TEST_F(Program, ExplainsItself) {
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--help"}), kExitOk);
  EXPECT_THAT(out_, AllOf(HasSubstr("--set"), HasSubstr("--profile"), HasSubstr("SLUICE_LANE_SLOTS")));
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::size_t widest_of(const std::string& text) {
  std::size_t widest = 0;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);)
    widest = std::max(widest, line.size());
  return widest;
}

TEST_F(Program, HasAFirstPageThatNamesEverySettingAndASecondThatSaysWhatTheyAreFor) {
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--help"}), kExitOk);
  const std::string first = out_;
  EXPECT_LE(lines_of(first), 55U) << first;
  EXPECT_THAT(first, AllOf(HasSubstr("--help-all"), ContainsRegex("\nExamples:\n  .*\n  .*\n  .*\n$"),
                           Not(HasSubstr("\n\n\n")), Not(HasSubstr("Events that a lane"))));
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--help-all"}), kExitOk);
  EXPECT_THAT(out_, AllOf(HasSubstr("lane.slots = 4096\n      Events that a lane"), HasSubstr("--chaos"),
                          ContainsRegex("\nExamples:\n  .*\n  .*\n  .*\n$")));
  for (const std::string_view key : setting_keys()) {
    // Of a profile --profile and the ways to set one tell.
    if (!key.starts_with("profile")) {
      EXPECT_THAT(first, ContainsRegex(std::string{"[ .]"}.append(key).append("[ \n]"))) << key;
    }
    EXPECT_THAT(out_, HasSubstr(std::string{key}.append(" = "))) << key;
  }
  EXPECT_LE(widest_of(first), 80U);
  EXPECT_LE(widest_of(out_), 80U);
}

TEST_F(Program, RefusesAWrongOptionOrSettingWithStatusTwo) {
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--nonsense"}), kExitUsage);
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--set", "lane.slot=4"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("lane.slots"));
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--set", "stage.swalow.workers=2"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("swallow"));
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--profile", ""}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--profile: it is empty"));
}

// A program whose number of workers is an option of its own.
class ProgramWithOptions : public Program {
 protected:
  int run_with(std::vector<std::string> arguments) {
    CLI::App app{"Swallows numbers."};
    unsigned workers = 1;
    app.add_option("workers", workers, "How many swallow")->required();
    return in_a_program(std::move(arguments), [&](int argc, char** argv) {
      return sluice::main(argc, argv, app, [&] {
        if (workers == 0) throw std::invalid_argument{"nobody would swallow"};
        return numbers_to<Swallow>("swallow", {.workers = workers});
      });
    });
  }
};

TEST_F(ProgramWithOptions, BuildsItsPipelineOfThem) {
  EXPECT_EQ(run_with({"3", "--set", "batch.events=7"}), kExitOk) << err_;
  EXPECT_THAT(out_, ContainsRegex("swallow +3 "));
}

TEST_F(ProgramWithOptions, ShowsThemInFrontOfTheStandardOnes) {
  EXPECT_EQ(run_with({"--help"}), kExitOk);
  EXPECT_THAT(out_, AllOf(HasSubstr("Swallows numbers."), HasSubstr("How many swallow"), HasSubstr("--set"),
                          HasSubstr("--version"), HasSubstr("SLUICE_LANE_SLOTS")));
  EXPECT_EQ(run_with({"--help-all"}), kExitOk);
  EXPECT_THAT(out_, AllOf(HasSubstr("How many swallow"), HasSubstr("lane.slots = 4096\n")));
  EXPECT_EQ(run_with({"--version"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("program, with Sluice "));
}

TEST_F(ProgramWithOptions, KeepsWhatTheProgramSaysBehindThem) {
  const auto ask = [this](const char* option) {
    CLI::App app{"Swallows numbers."};
    app.footer("It does not chew.");
    return in_a_program({option}, [&](int argc, char** argv) {
      return sluice::main(argc, argv, app, [] { return numbers_to<Swallow>("swallow"); });
    });
  };
  EXPECT_EQ(ask("--help"), kExitOk);
  EXPECT_THAT(out_, AllOf(EndsWith("It does not chew.\n"), Not(HasSubstr("lane.slots"))));
  EXPECT_EQ(ask("--help-all"), kExitOk);
  EXPECT_THAT(out_, AllOf(EndsWith("It does not chew.\n"), HasSubstr("lane.slots = 4096\n")));
}

TEST_F(Program, WithAParserOfItsOwnHasBothPages) {
  const auto ask = [this](const char* option, const char* footer) {
    CLI::App app{"Swallows numbers."};
    return in_a_program({option}, [&](int argc, char** argv) {
      StandardOptions options;
      add_standard_options(app, options);
      app.footer(footer);
      try {
        app.parse(argc, argv);
      } catch (const CLI::ParseError& error) {
        return end_of_parse(app, error);
      }
      return kExitFailed;
    });
  };
  for (const char* footer : {"", "It does not chew."}) {
    EXPECT_EQ(ask("--help", footer), kExitOk);
    EXPECT_THAT(out_, AllOf(HasSubstr("--help-all"), HasSubstr(footer), Not(HasSubstr("lane.slots ="))));
    EXPECT_THAT(out_, Not(HasSubstr("\n\n\n")));
    EXPECT_EQ(ask("--help-all", footer), kExitOk);
    EXPECT_THAT(out_, AllOf(HasSubstr("--chaos"), HasSubstr("lane.slots = 4096\n"), HasSubstr(footer)));
    EXPECT_THAT(out_, Not(HasSubstr("\n\n\n")));
    EXPECT_LE(widest_of(out_), 80U);
  }
}

TEST_F(Program, WithPagesOfItsOwnKeepsThem) {
  struct Terse : CLI::Formatter {
    std::string make_help(const CLI::App*, std::string, CLI::AppFormatMode) const override {
      return "terse\n";
    }
  };
  CLI::App app{"Swallows numbers."};
  app.formatter(std::make_shared<Terse>());
  StandardOptions options;
  add_standard_options(app, options);
  EXPECT_EQ(app.help(), "terse\n");
  EXPECT_EQ(app.get_option_no_throw("--help-all"), nullptr) << "it would say the same";
}

TEST_F(ProgramWithOptions, RefusesWhatTheyCannotBeWithStatusTwo) {
  EXPECT_EQ(run_with({}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("workers is required"));
  EXPECT_EQ(run_with({"2", "--profil", "latency"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("did you mean --profile?"));
  EXPECT_EQ(run_with({"0"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("error: nobody would swallow"));
  EXPECT_EQ(run_with({"2", "--set", "lane.slot=4"}), kExitUsage);
}

TEST_F(Program, EndsWithStatusOneWhenAHandlerReportsAProblem) {
  EXPECT_EQ(run(numbers_to<Complain>("complain"), {"--quiet"}), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("problem: complain/0: five is odd"));
}

struct Refuse {
  Refuse() { throw Error{{"open", "the observer socket", "it is locked", "knock"}}; }
  void operator()(const Item&) const {}
};

TEST_F(Program, EndsWithStatusOneAndTheReportWhenThePipelineFails) {
  EXPECT_EQ(run(numbers_to<Refuse>("refuse"), {"--quiet"}), kExitFailed);
  EXPECT_THAT(err_, AllOf(HasSubstr("error: "),
                          HasSubstr("refuse/0: cannot open the observer socket: it is locked (knock)")));
}

// One of two workers dies of whatever it gets.
struct HalfDies {
  explicit HalfDies(Worker& worker) : dies{worker.replica() == 0} {}
  void operator()(const Item& /*item*/) const {
    if (dies) std::abort();
  }
  bool dies;
};

// Behind problems of any number, which a reader may take for the reason.
TEST_F(Program, SaysLastOfAllWhyItFailed) {
  EXPECT_EQ(run(numbers_to<ComplainAndDie>("die"),
                {"--quiet", "--set", "poison.attempts=0", "--set", "batch.events=1"}),
            kExitFailed);
  const std::size_t problem = err_.find("problem: die/0: five is odd");
  const std::size_t error = err_.find("\nerror: ");
  ASSERT_NE(problem, std::string::npos) << err_;
  ASSERT_NE(error, std::string::npos) << err_;
  EXPECT_LT(problem, error) << err_;
  EXPECT_THAT(err_.substr(error), HasSubstr("fifty is too much"));
}

TEST_F(Program, EndsWithStatusOneWhenAWorkerWasGivenUp) {
  const std::vector<std::string> going_on{
      "--quiet",          "--set", "stage.half.workers=2", "--set", "restart.spent=shed",    "--set",
      "restart.budget=1", "--set", "restart.window=1h",    "--set", "restart.backoff=100us", "--set",
      "poison.attempts=0"};
  EXPECT_EQ(run(numbers_to<HalfDies>("half"), going_on), kExitFailed);
  EXPECT_THAT(err_, AllOf(HasSubstr("problem: half/0 died too often and was given up"),
                          Not(HasSubstr("half/1 died too often"))));
}

// Has standard error read by systemd's journal, as far as a program can see.
class ReadByTheJournal {
 public:
  ReadByTheJournal() {
    testing::internal::CaptureStderr();
    struct stat status {};
    EXPECT_EQ(::fstat(STDERR_FILENO, &status), 0);
    ::setenv("JOURNAL_STREAM", (std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino)).c_str(),
             1);
  }
  ~ReadByTheJournal() { ::unsetenv("JOURNAL_STREAM"); }
  ReadByTheJournal(const ReadByTheJournal&) = delete;
  ReadByTheJournal& operator=(const ReadByTheJournal&) = delete;

  static std::string what_it_read() { return testing::internal::GetCapturedStderr(); }
};

TEST_F(Program, TellsTheJournalHowSeriousItIsWhatItSays) {
  std::string program = "program";
  std::string quiet = "--quiet";
  std::string wrong = "--nonsense";
  const auto said = [&](const Pipeline& pipeline, std::string& option) {
    const ReadByTheJournal journal;
    char* argv[] = {program.data(), option.data(), nullptr};
    sluice::main(2, argv, pipeline);
    return ReadByTheJournal::what_it_read();
  };
  EXPECT_THAT(said(numbers_to<Swallow>("swallow"), wrong),
              testing::StartsWith("<3>error: there is no option --nonsense (--help lists the options)\n"));
  EXPECT_THAT(said(numbers_to<Complain>("complain"), quiet),
              testing::StartsWith("<3>problem: complain/0: five is odd\n"));
  EXPECT_THAT(said(numbers_to<Refuse>("refuse"), quiet), HasSubstr("<3>error: "));
}

TEST_F(Program, RefusesAPipelineThatWaitsForAHost) {
  EXPECT_EQ(run(counting_pipeline(1), {}), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("its inlet 'in'"), HasSubstr("use Engine")));
}

}  // namespace
}  // namespace sluice::test
