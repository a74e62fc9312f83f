// SPDX-License-Identifier: Apache-2.0
// What goes wrong, and what the host hears of it: every failure is an Error with a text that says what to do,
// and ends no one but the pipeline.

#include <cstring>
#include <set>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

class Failure : public WithProcesses {};

TEST_F(Failure, ToStartInAProcessThatRunsThreads) {
  Engine engine{counting_pipeline(1), test_settings()};
  std::atomic<bool> done{false};
  std::thread other{[&] { eventually([&] { return done.load(); }); }};
  EXPECT_THAT(error_of([&] { engine.start(); }),
              AllOf(HasSubstr("2 threads"), HasSubstr("before the first thread")));
  done = true;
  other.join();
  EXPECT_EQ(error_of([&] { engine.start(); }), "") << "without the thread it starts";
}

TEST_F(Failure, ToStartTwice) {
  Engine engine{counting_pipeline(1), test_settings()};
  engine.start();
  EXPECT_THAT(error_of([&] { engine.start(); }), HasSubstr("it has been started before"));
}

TEST_F(Failure, ToOpenWhatIsNotThere) {
  Engine engine{counting_pipeline(1), test_settings()};
  EXPECT_THAT(error_of([&] { engine.inlet<Item>("in"); }), HasSubstr("has not been started"));
  EXPECT_THAT(error_of([&] { engine.wait(); }), HasSubstr("has not been started"));
  engine.start();
  EXPECT_THAT(error_of([&] { engine.inlet<Item>("inn"); }),
              AllOf(HasSubstr("'inn'"), HasSubstr("it has: in")));
  EXPECT_THAT(error_of([&] { engine.inlet<Counted>("in"); }), HasSubstr("another type"));
  EXPECT_THAT(error_of([&] { engine.outlet<Counted>("in"); }), HasSubstr("no such outlet"));
  EXPECT_THAT(error_of([&] { engine.outlet<Item>("out"); }), HasSubstr("another type"));
  EXPECT_THAT(error_of([&] { engine.signal_worker("count/1", 0); }), HasSubstr("'count/1'"));
}

TEST_F(Failure, ToSetASettingOfAStageThatIsNotThere) {
  Settings settings = test_settings();
  settings.set("stage.cuont.workers", "2");
  EXPECT_THAT(error_of([&] { Engine(counting_pipeline(1), settings); }),
              AllOf(HasSubstr("cuont"), HasSubstr("count")));
}

TEST_F(Failure, ToRunAPipelineWithoutAStage) {
  Pipeline pipeline{"empty"};
  EXPECT_THAT(error_of([&] { Engine(pipeline, test_settings()); }), HasSubstr("it has no stage"));
}

TEST_F(Failure, ToRunAStageWithoutWorkers) {
  EXPECT_THAT(error_of([&] { Engine(counting_pipeline(0), test_settings()); }), HasSubstr("0 workers"));
}

TEST_F(Failure, ToGetAbsurdlyMuchMemory) {
  Settings settings = test_settings();
  settings.set("lane.slots", "1T");
  EXPECT_THAT(error_of([&] { Engine(counting_pipeline(4), settings); }), HasSubstr("cannot"));
}

struct Unwilling {
  explicit Unwilling(const char* path) {
    throw Error{{"open", path, "No such file or directory", "name a file that is there"}};
  }
  void operator()(const Item&) const {}
};

TEST_F(Failure, OfAConstructorMakesTheStartThrowWithItsText) {
  Pipeline pipeline{"unwilling"};
  pipeline.inlet<Item>("in").to<Unwilling>("unwilling", "/nowhere");
  Engine engine{pipeline, test_settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }),
              AllOf(HasSubstr("unwilling/0: cannot open /nowhere"), HasSubstr("name a file that is there")));
  EXPECT_TRUE(engine.over());
}

struct Thrower {
  void operator()(const Item& item) const {
    if (item.number == 3) throw std::runtime_error{"three is too much"};
  }
};

TEST_F(Failure, OfAHandlerThatThrowsAgainAndAgainEndsThePipelineAndNamesTheException) {
  Settings settings = test_settings();
  settings.set("restart.budget", "3");
  settings.set("poison.attempts", "0");
  Pipeline pipeline{"thrower"};
  pipeline.inlet<Item>("in").to<Thrower>("thrower");
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(10, 1))
    std::ignore = in.push(item);
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("thrower/0 died 4 times"), HasSubstr("its handler threw: three is too much"),
                    HasSubstr("restart.budget")));
  EXPECT_EQ(worker_of(engine, "thrower/0").restarts, 3U);
  EXPECT_EQ(worker_of(engine, "thrower/0").events_in, 3U) << "what came before it is done";
  EXPECT_EQ(in.push(Item{}), PushResult::ended);
}

struct Crasher {
  void operator()(const Item& item) const {
    if (item.number == 3) {
      std::signal(SIGSEGV, SIG_DFL);  // A sanitizer would make an exit of it.
      ::raise(SIGSEGV);
    }
  }
};

TEST_F(Failure, OfAHandlerThatCrashesNamesTheSignal) {
  Settings settings = test_settings();
  settings.set("restart.budget", "0");
  settings.set("poison.attempts", "0");
  Pipeline pipeline{"crasher"};
  pipeline.inlet<Item>("in").to<Crasher>("crasher");
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push(Item{0, 3});
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("crasher/0"), HasSubstr("signal 11")));
}

TEST_F(Failure, OfATableThatIsFullReachesAHostThatOnlyPulls) {
  Settings settings = test_settings();
  settings.set("stage.count.table.rows", "5");
  settings.set("oversize", "stop");
  Engine engine{counting_pipeline(1), settings};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(10, 10))
    std::ignore = in.push(item);
  EXPECT_THAT(out.all(), SizeIs(5)) << "the outlet ends with the pipeline";
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("'seen' of stage count"), HasSubstr("table.rows=10")));
}

struct Leaver {
  void operator()(const Item&) const { ::_exit(0); }
};

TEST_F(Failure, OfAHandlerThatExitsIsNotTakenForTheEnd) {
  Settings settings = test_settings();
  settings.set("restart.budget", "2");
  settings.set("poison.attempts", "0");
  Pipeline pipeline{"leaver"};
  pipeline.inlet<Item>("in").to<Leaver>("leaver");
  Engine engine{pipeline, settings};
  engine.start();
  std::ignore = engine.inlet<Item>("in").push(Item{});
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }), HasSubstr("it ended with status 0"));
}

// Reports a problem and then, the first time, dies of it.
struct Witness {
  explicit Witness(Worker& worker) : worker{worker} {}
  void operator()(const Item& item, Output<std::uint64_t>& out) const {
    const EventId id = worker.event_id();
    worker.report("item " + std::to_string(item.number) + " at " + std::to_string(id.position));
    out.push(id.position);
    if (item.number == 7 && worker.incarnation() == 1) ::raise(SIGKILL);
  }
  Worker& worker;
};

TEST_F(Failure, OfAWorkerLeavesEventIdsAsTheyAreAndTellsEveryProblemOnce) {
  Pipeline pipeline{"witness"};
  pipeline.inlet<Item>("in").to<Witness>("witness").outlet("out");
  Engine engine{pipeline, test_settings()};
  engine.start();
  Collector<std::uint64_t> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(12, 1))
    std::ignore = in.push(item);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  const std::vector<std::uint64_t> positions = out.all();
  ASSERT_THAT(positions, SizeIs(12));
  const Stats stats = engine.stats();
  EXPECT_EQ(stats.problem_count, 12U);
  ASSERT_THAT(stats.problems, SizeIs(12));
  for (std::size_t i = 0; i < positions.size(); ++i) {
    EXPECT_EQ(positions[i], i * sizeof(Item)) << "an event is named by its place in its lane";
    EXPECT_EQ(stats.problems[i],
              "witness/0: item " + std::to_string(i) + " at " + std::to_string(positions[i]));
  }
  EXPECT_EQ(worker_of(engine, "witness/0").restarts, 1U);
  EXPECT_EQ(worker_of(engine, "witness/0").incarnation, 2U);
}

}  // namespace
}  // namespace sluice::test
