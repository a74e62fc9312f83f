// SPDX-License-Identifier: Apache-2.0
// What becomes of a pipeline when a worker keeps dying: it stops and says why, or goes on without that
// worker.

#include "obedient.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Settings small_budget(const char* spent, const std::string& reports) {
  Settings settings = test_settings();
  settings.set("report.path", reports);
  settings.set("restart.budget", "3");
  settings.set("restart.window", "1h");
  settings.set("restart.backoff", "100us");
  settings.set("restart.spent", spent);
  settings.set("poison.attempts", "0");  // No event is to blame: the deaths count.
  settings.set("watchdog.deadline", "50ms");
  return settings;
}

class Budget : public WithReports {
 protected:
  template <class Handler>
  std::string why_not_started() const {
    Pipeline pipeline{"starting"};
    pipeline.inlet<Order>("in").to<Handler>("hopeful").outlet("out");
    Engine engine{pipeline, small_budget("stop", reports_)};
    return error_of([&] { engine.start(); });
  }
  Settings shedding() const {
    Settings settings = small_budget("shed", reports_);
    settings.set("lane.slots", "16");
    settings.set("watchdog.deadline", "20s");
    return settings;
  }
};

struct DiesAtStart {
  DiesAtStart() { std::raise(SIGKILL); }
  void operator()(const Order& order, Output<Order>& out) const { out.push(order); }
};

struct ThrowsAtStart {
  ThrowsAtStart() { throw std::runtime_error{"there is no licence"}; }
  void operator()(const Order& order, Output<Order>& out) const { out.push(order); }
};

struct Forward {
  void operator()(const Order& order, Output<Order>& out) const { out.push(order); }
};

struct HangsAtStart {
  HangsAtStart() { sleeps_here(); }
  void operator()(const Order& order, Output<Order>& out) const { out.push(order); }
};

TEST_F(Budget, SpentByAWorkerThatDiesAtEachStartIsReportedAsOneThatNeverBecameReady) {
  EXPECT_THAT(why_not_started<DiesAtStart>(),
              AllOf(HasSubstr("hopeful/0 never became ready: 4 starts in a row"), HasSubstr("signal 9")));
}

// Half of 100, 200 and 400 ms at the least, whatever is drawn.
TEST_F(Budget, OfAWorkerThatAchievesNothingIsSpentWithPausesThatDouble) {
  Pipeline pipeline{"starting"};
  pipeline.inlet<Order>("in").to<DiesAtStart>("hopeful").outlet("out");
  Settings settings = small_budget("stop", reports_);
  settings.set("restart.backoff", "100ms");
  settings.set("restart.backoff_max", "10s");
  Engine engine{pipeline, settings};
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(error_of([&] { engine.start(); }), HasSubstr("4 starts in a row"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 350ms);
}

TEST_F(Budget, SpentByAWorkerThatThrowsAtEachStartIsReportedWithItsMessage) {
  EXPECT_THAT(why_not_started<ThrowsAtStart>(),
              AllOf(HasSubstr("hopeful/0 never became ready: 4 starts"), HasSubstr("there is no licence")));
}

TEST_F(Budget, SpentByAWorkerThatHangsAtEachStartIsReportedAsSuch) {
  EXPECT_THAT(why_not_started<HangsAtStart>(),
              AllOf(HasSubstr("hopeful/0 never became ready: 4 starts"), HasSubstr("the watchdog ended it")));
}

TEST_F(Budget, SpentAtTheStartDoesNotKeepTheOthersFromTheirs) {
  Pipeline pipeline{"starting"};
  const auto orders = pipeline.inlet<Order>("in");
  orders.to<DiesAtStart>("hopeless").outlet("nothing");
  orders.to<Forward>("hopeful").outlet("out");
  Engine engine{pipeline, small_budget("shed", reports_)};
  engine.start();
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "hopeless/0").verdict == "shed"; }));
  Collector<Order> out{engine, "out"};
  EXPECT_NE(engine.inlet<Order>("in").push({}), PushResult::ended);
  engine.drain();
  EXPECT_THAT(out.all(), testing::SizeIs(1));
}

TEST_F(Budget, SpentStaysSpentAndIsToldInTheNextLife) {
  Pipeline pipeline{"parked"};
  const auto orders = pipeline.inlet<Order>("in");
  orders.to<DiesAtStart>("hopeless").outlet("nothing");
  orders.to<Forward>("hopeful").outlet("out");
  Settings settings = small_budget("shed", reports_);
  settings.set("segment.path", reports_ + ".segment");
  {
    Engine engine{pipeline, settings};
    engine.start();
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "hopeless/0").verdict == "shed"; }));
    EXPECT_NE(engine.inlet<Order>("in").push({}), PushResult::ended);
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "hopeful/0").events_in == 1; }));
    engine.park();
  }
  Engine engine{pipeline, settings};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_EQ(worker_of(engine, "hopeless/0").verdict, "shed");
  Collector<Order> out{engine, "out"};
  engine.drain();
  EXPECT_EQ(worker_of(engine, "hopeless/0").verdict, "shed");
}

// Worker 0 of two dies whenever it gets something.
struct Mortal {
  explicit Mortal(Worker& worker) : replica{worker.replica()} {}
  void operator()(const Order& order, Output<Order>& out) const {
    if (replica == 0) {
      std::signal(SIGABRT, SIG_DFL);  // A sanitizer would make an exit of it.
      std::abort();
    }
    out.push(order);
  }
  unsigned replica;
};

constexpr std::uint32_t kEvents = 20'000;  // Far more than the lanes hold.

template <class Stream>
Pipeline with_mortal(Pipeline& pipeline, const Stream& stream) {
  stream.template to<Mortal>("mortal", {.workers = 2}).template to<Forward>("behind").outlet("out");
  return pipeline;
}

// What came out, and what the host was told while it pushed.
struct Outcome {
  std::vector<Order> out;
  std::uint32_t accepted = 0;
  std::uint32_t dropped = 0;
};

Outcome push_all(Engine& engine) {
  engine.start();
  Collector<Order> out{engine, "out"};
  auto in = engine.inlet<Order>("in");
  Outcome outcome;
  for (std::uint32_t i = 0; i < kEvents; ++i) {
    const PushResult result = in.push({Deed::pass, i, 0, 0});
    (result == PushResult::accepted ? outcome.accepted : outcome.dropped)++;
  }
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline)) << "the end waits for nobody who is shed";
  outcome.out = out.all();
  return outcome;
}

TEST_F(Budget, SpentCanMeanToGoOnWithoutThatWorkersShare) {
  Pipeline pipeline{"shedding"};
  const auto by_number = [](const Order& order) { return order.number; };
  with_mortal(pipeline, pipeline.inlet<Order>("in").by(by_number));
  Engine engine{pipeline, shedding()};
  const Outcome outcome = push_all(engine);
  EXPECT_EQ(worker_of(engine, "mortal/0").verdict, "shed");
  EXPECT_EQ(worker_of(engine, "mortal/0").restarts, 3U);
  EXPECT_EQ(worker_of(engine, "mortal/1").restarts, 0U);
  // About half of the keys are the other worker's: all of these and nothing else.
  EXPECT_EQ(outcome.out.size(), worker_of(engine, "mortal/1").events_in);
  EXPECT_GT(outcome.out.size(), kEvents / 4);
  EXPECT_GT(outcome.dropped, 0U) << "the host is told";
  EXPECT_LE(kEvents - outcome.out.size() - outcome.dropped, std::uint64_t{4} * 4096 / sizeof(Order))
      << "besides what is dropped only what its lane holds is lost";
}

TEST_F(Budget, SpentInTheMiddleLetsBothNeighboursGoOn) {
  Pipeline pipeline{"shedding"};
  const auto by_number = [](const Order& order) { return order.number; };
  with_mortal(pipeline, pipeline.inlet<Order>("in").template to<Forward>("before").by(by_number));
  Engine engine{pipeline, shedding()};
  const Outcome outcome = push_all(engine);
  EXPECT_EQ(outcome.accepted, kEvents);
  EXPECT_EQ(outcome.out.size(), worker_of(engine, "mortal/1").events_in);
  EXPECT_GT(worker_of(engine, "before/0").shed, 0U) << "what it gave up is counted";
  EXPECT_EQ(worker_of(engine, "before/0").restarts + worker_of(engine, "behind/0").restarts, 0U);
}

TEST_F(Budget, SpentBehindATurnLosesLittleSinceOthersGetItsTurns) {
  Pipeline pipeline{"shedding"};
  with_mortal(pipeline, pipeline.inlet<Order>("in"));
  Engine engine{pipeline, shedding()};
  const Outcome outcome = push_all(engine);
  EXPECT_GE(outcome.out.size(), kEvents - 4096 / sizeof(Order) - 1);
  EXPECT_LE(outcome.dropped, 1U);
}

}  // namespace
}  // namespace sluice::test
