// SPDX-License-Identifier: Apache-2.0
// sluice::main: the program around a pipeline, its exit statuses and what it does with interrupts.

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Program : public WithProcesses {
 protected:
  // The exit status of a program around `pipeline`; what it says is in out_ and err_.
  int run(const Pipeline& pipeline, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "program");
    std::vector<char*> argv;
    argv.reserve(arguments.size());
    for (std::string& argument : arguments)
      argv.push_back(argument.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int status = sluice::main(static_cast<int>(argv.size()), argv.data(), pipeline);
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

template <class Handler>
Pipeline numbers_to(const char* stage) {
  Pipeline pipeline{"numbers"};
  pipeline.source<Numbers>("numbers", 100U).to<Handler>(stage);
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

TEST_F(Program, RefusesAWrongOptionOrSettingWithStatusTwo) {
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--nonsense"}), kExitUsage);
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--set", "lane.slot=4"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("lane.slots"));
  EXPECT_EQ(run(numbers_to<Swallow>("swallow"), {"--set", "stage.swalow.workers=2"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("swallow"));
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

TEST_F(Program, RefusesAPipelineThatWaitsForAHost) {
  EXPECT_EQ(run(counting_pipeline(1), {}), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("its inlet 'in'"), HasSubstr("use Engine")));
}

struct Endless {
  bool operator()(Output<Item>& out) const {
    out.push({});
    return true;
  }
};

// In a process of its own: what is told by a signal could reach a test too late.
int interrupted(int interrupts) {
  const pid_t program = ::fork();
  if (program == 0) {
    std::freopen("/dev/null", "w", stderr);
    std::signal(SIGINT, SIG_DFL);  // It may be ignored, by a shell that runs tests in the background.
    Pipeline pipeline{"endless"};
    pipeline.source<Endless>("endless").to<Swallow>("swallow");
    Engine engine{pipeline, test_settings()};
    int sent = 0;
    const auto interrupt = [&] {
      if (sent < interrupts && worker_of(engine, "swallow/0").events_in > 0) ++sent, ::raise(SIGINT);
    };
    int status = sluice::run(engine, {.assignments = {}, .profile = {}, .placement = false, .quiet = true},
                             test_settings(), interrupt);
    if (std::signal(SIGINT, SIG_DFL) != SIG_DFL) status = 77;
    ::_exit(status);
  }
  int status = 0;
  const bool ended = eventually([&] { return ::waitpid(program, &status, WNOHANG) == program; });
  if (!ended && program > 0) ::kill(program, SIGKILL);
  return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(Program, DrainsAtTheFirstInterruptAndGivesTheSignalBack) {
  EXPECT_EQ(interrupted(1), kExitOk);
}

}  // namespace
}  // namespace sluice::test
