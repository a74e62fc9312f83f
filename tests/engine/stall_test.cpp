// SPDX-License-Identifier: Apache-2.0
// Workers that hang, really: the watchdog ends and replaces them, and the flow goes on as if nothing had
// happened. Those that only look as if they hung are left alone.

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::SizeIs;

class Stall : public WithProcesses {};

Settings impatient() {
  Settings settings = test_settings();
  settings.set("watchdog.deadline", "200ms");
  return settings;
}

// Hangs in the event `number`, in its first two lives.
template <bool spins>
struct Hanging {
  Hanging(Worker& worker, std::uint32_t number)
      : worker{worker}, hangs_at{number}, seen{worker.state<std::uint32_t>("seen")} {}
  void operator()(const Item& item, Output<Counted>& out) {
    out.push({item, worker.replica(), seen.edit()++});
    if (item.number != hangs_at || worker.incarnation() > 2) return;
    volatile bool forever = true;
    while (forever) {
      if constexpr (!spins) std::this_thread::sleep_for(1h);
    }
  }
  Worker& worker;
  std::uint32_t hangs_at;
  Recoverable<std::uint32_t> seen;
};

template <bool spins>
void expect_exactly_once() {
  Pipeline pipeline{"hanging"};
  pipeline.inlet<Item>("in").to<Hanging<spins>>("hanging", 150U).outlet("out");
  Engine engine{pipeline, impatient()};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(500, 1))
    std::ignore = in.push(item);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  const std::vector<Counted> all = out.all();
  ASSERT_THAT(all, SizeIs(500));
  for (std::uint32_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i], (Counted{{0, i}, 0, i}));
  EXPECT_GE(worker_of(engine, "hanging/0").restarts, 2U);
}

TEST_F(Stall, OfAHandlerThatSpinsIsEndedAndTheFlowGoesOnExactlyOnce) {
  expect_exactly_once<true>();
}

TEST_F(Stall, OfAHandlerThatSleepsIsEndedAndTheFlowGoesOnExactlyOnce) {
  expect_exactly_once<false>();
}

TEST_F(Stall, ThatNeverEndsIsReportedAsOneOnceTheBudgetIsSpent) {
  Settings settings = impatient();
  settings.set("restart.budget", "0");
  settings.set("poison.attempts", "0");
  Pipeline pipeline{"hanging"};
  pipeline.inlet<Item>("in").to<Hanging<false>>("hanging", 0U).outlet("out");
  Engine engine{pipeline, settings};
  engine.start();
  std::ignore = engine.inlet<Item>("in").push(Item{});
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              testing::HasSubstr("no progress within watchdog.deadline"));
}

struct Pass {
  void operator()(const Item& item, Output<Item>& out) const { out.push(item); }
};

// SIGUSR2 makes a worker hang in whatever it does: here, in its waits.
TEST_F(Stall, WhileItWaitsForInputIsSeenWhenTheStreamEnds) {
  Pipeline pipeline{"hanging"};
  pipeline.inlet<Item>("in").to<Pass>("pass").outlet("out");
  Engine engine{pipeline, impatient()};
  engine.start();
  ASSERT_TRUE(engine.signal_worker("pass/0", SIGUSR2));
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(worker_of(engine, "pass/0").restarts, 0U)
      << "nobody is harmed by a worker that has nothing to do";
  engine.inlet<Item>("in").close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(worker_of(engine, "pass/0").restarts, 1U);
}

TEST_F(Stall, WhileItWaitsForRoomIsSeenWhenThereIsRoom) {
  Settings settings = impatient();
  settings.set("lane.slots", "2");
  Pipeline pipeline{"hanging"};
  pipeline.inlet<Item>("in").to<Pass>("pass").outlet("out");
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Item>("in");
  const std::vector<Item> sent = items(600, 1);
  for (const Item& item : sent)
    std::ignore = in.push(item);
  in.close();
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (worker_of(engine, "pass/0").full_waits == 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
  ASSERT_TRUE(engine.signal_worker("pass/0", SIGUSR2));
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(worker_of(engine, "pass/0").restarts, 0U) << "back-pressure is no stall";
  Collector<Item> out{engine, "out"};
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), testing::ElementsAreArray(sent));
  EXPECT_EQ(worker_of(engine, "pass/0").restarts, 1U);
}

struct SlowStart {
  SlowStart() { std::this_thread::sleep_for(600ms); }
  void operator()(const Item& item, Output<Item>& out) const { out.push(item); }
};

TEST_F(Stall, IsNotWhatASlowConstructorDoes) {
  Pipeline pipeline{"slow"};
  pipeline.inlet<Item>("in").to<SlowStart>("slow").outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(10, 1), impatient()), SizeIs(10));
}

TEST_F(Stall, IsNotWhatASlowPaceIs) {
  struct Slow {
    void operator()(const Item& item, Output<Item>& out) const {
      std::this_thread::sleep_for(50ms);
      out.push(item);
    }
  };
  Pipeline pipeline{"slow"};
  pipeline.inlet<Item>("in").to<Slow>("slow").outlet("out");
  Engine engine{pipeline, impatient()};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(20, 1))
    std::ignore = in.push(item);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(20));
  EXPECT_EQ(worker_of(engine, "slow/0").restarts, 0U) << "every event keeps its deadline, their sum need not";
}

TEST_F(Stall, IsNotWhatAStoppedWorkerDoes) {
  Pipeline pipeline{"stopped"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Engine engine{pipeline, impatient()};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push(Item{0, 0});
  ASSERT_TRUE(eventually([&] { return out.count() == 1; }));
  const pid_t pid = worker_of(engine, "echo/0").pid;
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGSTOP));
  std::ignore = in.push(Item{0, 1});
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "echo/0").verdict == "stopped"; }));
  std::this_thread::sleep_for(500ms);
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "echo/0").verdict == "stopped"; }));
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGCONT));
  EXPECT_TRUE(eventually([&] { return out.count() == 2; }));
  EXPECT_EQ(worker_of(engine, "echo/0").pid, pid) << "it was left alone";
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
}

TEST_F(Stall, IsNotWhatABackPressuredWorkerDoes) {
  Settings settings = impatient();
  settings.set("lane.slots", "2");
  Engine engine{multiplying_pipeline(500), settings};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(5, 1))
    std::ignore = in.push(item);
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "echo/0").verdict == "back-pressured"; }));
  std::this_thread::sleep_for(600ms);
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "echo/0").verdict == "back-pressured"; }));
  Collector<Item> out{engine, "out"};
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(2500));
  EXPECT_EQ(worker_of(engine, "echo/0").restarts + worker_of(engine, "multiply/0").restarts, 0U);
}

}  // namespace
}  // namespace sluice::test
