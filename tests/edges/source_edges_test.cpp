// SPDX-License-Identifier: Apache-2.0
// Sources that are slow, that wait and that have nothing: alive as long as they answer, and their events go at once.
// And what a handler prints, or does to the process it runs in, stays its own.
#include <cstdlib>
#include <iostream>
#include <sys/stat.h>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class Sources : public WithOutside {};

// Looks for a while and has nothing, until there is a file.
class Looker {
 public:
  Looker(Worker&, const std::string& until) : until_{until} {}
  SourceState operator()(Output<Item>& out) const {
    std::this_thread::sleep_for(100ms);
    if (!std::filesystem::exists(until_)) return SourceState::nothing_now;
    out.push({});
    return SourceState::end;
  }

 private:
  std::string until_;
};

TEST_F(Sources, AreAliveHoweverLongEachLookTakesWithinTheDeadline) {
  Pipeline pipeline{"looker"};
  pipeline.source<Looker>("look", {}, file("until")).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=250ms"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  std::this_thread::sleep_for(3s);  // Twelve deadlines.
  EXPECT_EQ(worker_of(engine, "look/0").restarts, 0U);
  std::ofstream{file("until")} << "now";
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(1));
  EXPECT_EQ(worker_of(engine, "look/0").restarts, 0U);
}

// Makes an item of each byte that comes, and waits for the bytes.
class FromPipe {
 public:
  FromPipe(Worker& worker, int fd, bool declares) : worker_{worker}, fd_{fd}, declares_{declares} {}
  SourceState operator()(Output<Item>& out) const {
    if (declares_ && !worker_.wait_for(fd_, 1h)) return SourceState::nothing_now;
    unsigned char byte = 0;
    if (::read(fd_, &byte, 1) != 1) return SourceState::end;
    out.push({0, byte});
    return SourceState::more;
  }

 private:
  Worker& worker_;
  int fd_;
  bool declares_;
};

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(ends), 0); }
  ~Pipe() {
    ::close(ends[0]);
    close_writer();
  }
  void close_writer() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  void say(unsigned char byte) const { EXPECT_EQ(::write(ends[1], &byte, 1), 1); }
  int ends[2] = {-1, -1};
};

class SlowSources : public Sources, public testing::WithParamInterface<bool> {};

TEST_P(SlowSources, HandOnEachEventBeforeTheNextOneComes) {
  Pipe pipe;
  Pipeline pipeline{"drip"};
  pipeline.source<FromPipe>("drip", {.descriptors = {pipe.ends[0]}}, pipe.ends[0], GetParam()).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  auto out = engine.outlet<Item>("out");
  // Each byte is written only when the item of the one before is here: one that waits for others never comes.
  for (unsigned char byte = 0; byte < 20; ++byte) {
    std::this_thread::sleep_for(20ms);
    pipe.say(byte);
    EXPECT_TRUE(eventually(
        [&] { return out.poll([byte](const Item& item) { EXPECT_EQ(item.number, byte); }) != 0; }, 5s))
        << int{byte};
  }
  engine.stop();
}

INSTANTIATE_TEST_SUITE_P(That, SlowSources, testing::Bool(),
                         [](const auto& declares) { return declares.param ? "SayThatTheyWait" : "Block"; });

TEST_F(Sources, ThatWaitShowAsIdleAndTakeNoProcessorTime) {
  Pipe pipe;
  Pipeline pipeline{"wait"};
  pipeline.source<FromPipe>("wait", {.descriptors = {pipe.ends[0]}}, pipe.ends[0], true).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=200ms"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  pipe.say(1);
  EXPECT_TRUE(eventually([&] { return out.count() == 1; }));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "wait/0").verdict == "idle"; }));
  const WorkerStats before = worker_of(engine, "wait/0");
  const auto used = cpu_time_of(before.pid);
  std::this_thread::sleep_for(2s);  // Ten deadlines.
  EXPECT_EQ(worker_of(engine, "wait/0").verdict, "idle");
  EXPECT_LE(cpu_time_of(before.pid) - used, 50ms);
  EXPECT_EQ(worker_of(engine, "wait/0").restarts, 0U);
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(1)) << "a drain ends the wait";
}

TEST_F(Sources, ThatWaitHaveHandedOnWhatTheyMadeBefore) {
  class TwoThenWait {
   public:
    explicit TwoThenWait(Worker& worker) : worker_{worker}, made_{worker.state<std::uint32_t>("made")} {}
    SourceState operator()(Output<Item>& out) {
      if (*made_ >= 2) {
        worker_.wait_for(1h);
        return SourceState::nothing_now;
      }
      out.push({0, made_.edit()++});
      return SourceState::more;
    }

   private:
    Worker& worker_;
    Recoverable<std::uint32_t> made_;
  };
  Pipeline pipeline{"two"};
  pipeline.source<TwoThenWait>("two").outlet("out");
  Engine engine{pipeline, settings({"batch.linger=1h"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  EXPECT_TRUE(eventually([&] { return out.count() == 2; }));
  engine.drain();
}

TEST_F(Sources, LingerWithTheirEventsAsLongAsTheySay) {
  class Ten {
   public:
    explicit Ten(Worker& worker) : made_{worker.state<std::uint32_t>("made")} {}
    bool operator()(Output<Item>& out) {
      if (*made_ == 10) return false;
      std::this_thread::sleep_for(20ms);
      out.push({0, made_.edit()++});
      return true;
    }

   private:
    Recoverable<std::uint32_t> made_;
  };
  Pipeline pipeline{"ten"};
  pipeline.source<Ten>("ten").outlet("out");
  const auto batches = [&](const char* linger) {
    Engine engine{pipeline, settings({linger})};
    engine.start();
    Collector<Item> out{engine, "out"};
    EXPECT_TRUE(engine.wait_for(kDeadline));
    EXPECT_THAT(out.all(), SizeIs(10));
    return worker_of(engine, "ten/0").batches;
  };
  EXPECT_GE(batches("batch.linger=0s"), 10U);
  EXPECT_LE(batches("batch.linger=1min"), 2U);
}

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
  EXPECT_EQ(letters[0].cause, "it ended with status " + std::to_string(status));
}

INSTANTIATE_TEST_SUITE_P(With, Exits, testing::Combine(testing::Values(0, 1, 70, 71, 255), testing::Bool()));

std::string exit_log;

TEST_F(Sources, AndHandlersThatExitRunNothingOfTheHostsAndLeaveItsInputWhereItIs) {
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

TEST_F(Sources, AndWhatHandlersPrintedIsThereWhenTheyAreDone) {
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

TEST_F(Sources, AndWhatTheHostHadPrintedBeforeTheStartComesOutOnce) {
  const std::string printed = file("printed");
  const pid_t host = ::fork();
  if (host == 0) {
    if (std::freopen(printed.c_str(), "w", stdout) == nullptr) ::_exit(1);
    std::ios::sync_with_stdio(false);  // From here on std::cout has a buffer of its own.
    std::cout << "said by the host\n";
    Pipeline pipeline{"quiet"};
    pipeline.inlet<Item>("in").to<Echo>("echo", {.workers = 2}).outlet("out");
    const bool right = run_processes<Item>(pipeline, items(10, 1), settings()).size() == 10;
    std::cout.flush();
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(lines_of(printed), std::vector<std::string>{"said by the host"});
}

}  // namespace
}  // namespace sluice::test
