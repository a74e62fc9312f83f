// SPDX-License-Identifier: Apache-2.0
// What a handler prints, or does to the process it runs in, stays its own: it exits, closes what is not its own, prints.
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class HandlersInTheirProcess : public WithOutside {};

// Ends the process it is in, with some status, when it gets number 7.
class Leaver {
 public:
  Leaver(Worker&, int status, bool at_once) : status_{status}, at_once_{at_once} {}
  void operator()(const Item& item, Output<Item>& out) const {
    if (item.number == 7) at_once_ ? std::_Exit(status_) : std::exit(status_);
    out.push(item);
  }

 private:
  int status_;
  bool at_once_;
};

class Exits : public WithOutside, public testing::WithParamInterface<std::tuple<int, bool>> {};

TEST_P(Exits, OfAnyStatusAreBlamedOnTheEventLikeACrash) {
  const auto [status, at_once] = GetParam();
  Pipeline pipeline{"leaver"};
  pipeline.inlet<Item>("in").to<Leaver>("leaver", {}, status, at_once).outlet("out");
  Settings with = settings({"poison.attempts=2"});
  std::uint64_t dead = 0;
  EXPECT_THAT(run_processes<Item>(pipeline, items(20, 1), with,
                                  [&dead](Engine& engine, std::size_t pushed) {
                                    if (pushed != 20) return;
                                    EXPECT_TRUE(eventually([&] {
                                      dead = engine.stats().dead_letters();
                                      return dead != 0;
                                    }));
                                  }),
              SizeIs(19));
  EXPECT_EQ(dead, 1U);
  const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
  ASSERT_THAT(letters, SizeIs(1));
  // exit() tells its status when it is too late: when objects of the host's would be destroyed.
  EXPECT_EQ(letters[0].cause,
            at_once ? "it ended with status " + std::to_string(status) : "it called exit()");
}

INSTANTIATE_TEST_SUITE_P(With, Exits, testing::Combine(testing::Values(0, 1, 70, 71, 255), testing::Bool()));

// Whatever signal it gets then stops it, and its tracer is one of ours.
struct Traced {
  void operator()(const Item& item, Output<Item>& out) const {
    if (item.number % 10 == 7) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      if (item.number == 7) std::abort();
      ::raise(SIGWINCH);
    }
    out.push(item);
  }
};

TEST_F(HandlersInTheirProcess, ThatAskToBeTracedDieOfTheirSignalsAsOthersDo) {
  Pipeline pipeline{"traced"};
  pipeline.inlet<Item>("in").to<Traced>("traced").outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(30, 1), settings({"poison.attempts=2"})), SizeIs(29));
  const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].signal, SIGABRT);
  EXPECT_EQ(letters[0].attempts, 2U);
  EXPECT_EQ(letters[0].position, 7 * sizeof(Item));
}

std::string exit_log;

TEST_F(HandlersInTheirProcess, ThatExitRunNothingOfTheHostsAndLeaveItsInputWhereItIs) {
  exit_log = log();
  std::atexit([] { log_line(exit_log, "an exit handler of the host ran in " + std::to_string(::getpid())); });
  // The host has read a line, and its buffer holds the rest.
  std::ofstream input{file("input")};
  for (int line = 0; line < 1000; ++line)
    input << "line " << line << "\n";
  input.close();
  ASSERT_NE(std::freopen(file("input").c_str(), "r", stdin), nullptr);
  char text[64];
  ASSERT_NE(std::fgets(text, sizeof(text), stdin), nullptr);

  Pipeline pipeline{"leaver"};
  pipeline.inlet<Item>("in").to<Leaver>("leaver", {}, 3, false).outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(20, 1), settings({"poison.attempts=2"})), SizeIs(19));
  EXPECT_THAT(lines_of(log()), SizeIs(0));
  int lines = 1;
  while (std::fgets(text, sizeof(text), stdin) != nullptr)
    ++lines;
  EXPECT_EQ(lines, 1000);
  exit_log = "/dev/null";
}

// Objects of the host's thread, and what it does at a quick end, are no exit handlers.
class QuickLeaver {
 public:
  QuickLeaver(Worker&, bool quick) : quick_{quick} {}
  void operator()(const Item& item, Output<Item>& out) const {
    if (item.number == 7) quick_ ? std::quick_exit(3) : std::exit(3);
    out.push(item);
  }

 private:
  bool quick_;
};

struct OfThread {
  ~OfThread() {
    log_line(log, "an object of the host's thread was destroyed in " + std::to_string(::getpid()));
  }
  std::string log;
};

class HandlersThatExit : public WithOutside, public testing::WithParamInterface<bool> {};

TEST_P(HandlersThatExit, DestroyNothingOfTheThreadThatStartedThePipeline) {
  const pid_t host = ::fork();
  if (host == 0) {
    static thread_local OfThread object{log()};
    exit_log = object.log;
    std::at_quick_exit([] { log_line(exit_log, "a handler of the host's quick exit ran"); });
    Pipeline pipeline{"leaver"};
    pipeline.inlet<Item>("in").to<QuickLeaver>("leaver", {}, GetParam()).outlet("out");
    ::_exit(run_processes<Item>(pipeline, items(20, 1), settings({"poison.attempts=2"})).size() == 19 ? 0
                                                                                                      : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(lines_of(log()), SizeIs(0));
  const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].cause, "it called exit()");
}

INSTANTIATE_TEST_SUITE_P(By, HandlersThatExit, testing::Bool(),
                         [](const auto& quick) { return quick.param ? "QuickExit" : "Exit"; });

// What closes all descriptors from 3 on, as daemons do, closes the worker's own.
template <bool kWaits>
class Closer {
 public:
  explicit Closer(Worker& worker) : worker_{worker} { ::closefrom(3); }
  SourceState operator()(Output<Item>&) const {
    if (kWaits) worker_.wait_for(1h);
    return SourceState::nothing_now;
  }

 private:
  Worker& worker_;
};

struct ClosingStage {
  explicit ClosingStage(Worker&) { ::closefrom(3); }
  void operator()(const Item& item, Output<Item>& out) const { out.push(item); }
};

TEST_F(HandlersInTheirProcess, ThatCloseWhatIsNotTheirsEndThePipelineAtTheirNextWait) {
  Pipeline stage{"stage"};
  stage.inlet<Item>("in").to<ClosingStage>("close").outlet("out");
  Pipeline asked{"asked"};
  asked.source<Closer<false>>("close").outlet("out");
  Pipeline waiting{"waiting"};
  waiting.source<Closer<true>>("close").outlet("out");
  for (const Pipeline* pipeline : {&stage, &asked, &waiting}) {
    Engine engine{*pipeline, settings()};
    EXPECT_THAT(error_of([&] {
                  engine.start();
                  engine.wait_for(kDeadline);
                }),
                AllOf(HasSubstr("close/0"), HasSubstr("has closed descriptors of the pipeline")));
  }
}

// Puts a filter on itself that denies a call.
struct FilteredStage {
  FilteredStage(Worker&, long call) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      throw std::runtime_error{"no filter can be had"};
  }
  void operator()(const Item& item, Output<Item>& out) const { out.push(item); }
};

// Its neighbour would be taken for one that hangs.
TEST_F(HandlersInTheirProcess, ThatDenyThemselvesTheRingingOfBellsAreToldSo) {
  Pipeline pipeline{"filtered"};
  pipeline.inlet<Item>("in").to<FilteredStage>("filtered", {}, SYS_write).outlet("out");
  Engine engine{pipeline, settings()};
  EXPECT_THAT(error_of([&] {
                engine.start();
                engine.wait_for(kDeadline);
              }),
              AllOf(HasSubstr("filtered/0"), HasSubstr("cannot wake its neighbours"),
                    HasSubstr("allow write in the filter")));
}

TEST_F(HandlersInTheirProcess, ThatDenyThemselvesALookAtDescriptorsHaveClosedNone) {
  Pipeline pipeline{"filtered"};
  pipeline.inlet<Item>("in").to<FilteredStage>("filtered", {}, SYS_fcntl).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  for (const Item& item : items(3, 1)) {
    ASSERT_EQ(in.push(item), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return out.poll([](const Item&) {}) == 1; }));
    std::this_thread::sleep_for(300ms);  // It waits in vain.
  }
  in.close();
  engine.wait();
}

// Prints each item in two ways.
class Printer {
 public:
  Printer(Worker&, const std::string& own) : own_{own} {}
  void operator()(const Item& item, Output<Item>& out) {
    own_ << item.number << "\n";
    std::printf("printed %u\n", item.number);
    out.push(item);
  }

 private:
  std::ofstream own_;
};

TEST_F(HandlersInTheirProcess, HavePrintedWhatTheyPrintedWhenTheyAreDone) {
  Pipeline pipeline{"printer"};
  pipeline.inlet<Item>("in").to<Printer>("print", {}, file("own")).outlet("out");
  std::fflush(stdout);
  const int before = ::dup(STDOUT_FILENO);
  ASSERT_NE(std::freopen(file("printed").c_str(), "w", stdout), nullptr);
  EXPECT_THAT(run_processes<Item>(pipeline, items(100, 1), settings()), SizeIs(100));
  std::fflush(stdout);
  ::dup2(before, STDOUT_FILENO);
  ::close(before);
  EXPECT_THAT(lines_of(file("own")), SizeIs(100));
  EXPECT_THAT(lines_of(file("printed")), SizeIs(100));
}

TEST_F(HandlersInTheirProcess, DoNotPrintWhatTheHostHadPrintedBeforeTheStart) {
  const std::string printed = file("printed");
  const pid_t host = ::fork();
  if (host == 0) {
    if (std::freopen(printed.c_str(), "w", stdout) == nullptr) ::_exit(1);
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    std::ios::sync_with_stdio(false);  // From here on std::cout has a buffer of its own.
    std::cout << "said by the host\n";
    std::wclog << "and in wide words\n";
    Pipeline pipeline{"quiet"};
    pipeline.inlet<Item>("in").to<Echo>("echo", {.workers = 2}).outlet("out");
    const bool right = run_processes<Item>(pipeline, items(10, 1), settings({"log.level=off"})).size() == 10;
    std::cout.flush();
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(lines_of(printed), (std::vector<std::string>{"said by the host", "and in wide words"}));
}

}  // namespace
}  // namespace sluice::test
