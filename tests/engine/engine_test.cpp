// SPDX-License-Identifier: Apache-2.0
// The engine with real processes: what run_inline promises holds here as well, and what only processes can
// show.

#include <cstring>
#include <sched.h>
#include <set>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

class EngineTest : public WithProcesses {};

TEST_F(EngineTest, GivesWhatRunInlineGives) {
  const auto expected = run_inline(counting_pipeline(2), items(5000, 31)).events<Counted>("out");
  EXPECT_EQ(sorted(run_processes<Counted>(counting_pipeline(2), items(5000, 31), test_settings())),
            sorted(expected));
}

TEST_F(EngineTest, KeepsTheOrderWithinAKey) {
  std::map<std::uint32_t, std::uint32_t> next;
  for (const Counted& each : run_processes<Counted>(counting_pipeline(3), items(5000, 31), test_settings()))
    EXPECT_EQ(each.nth, next[each.item.key]++);
}

TEST_F(EngineTest, SplitsAndMergesAsRunInlineDoes) {
  const auto items_only = [](const std::vector<Counted>& counted) {
    std::vector<Item> only;
    only.reserve(counted.size());
    for (const Counted& each : counted)
      only.push_back(each.item);
    return sorted(only);
  };
  EXPECT_EQ(items_only(run_processes<Counted>(diamond_pipeline(), items(3000, 11), test_settings())),
            items_only(run_inline(diamond_pipeline(), items(3000, 11)).events<Counted>("out")));
}

Settings tiny() {
  Settings settings = test_settings();
  settings.set("lane.slots", "2");
  settings.set("lane.bytes", "4096");
  return settings;
}

TEST_F(EngineTest, PassesAFanOutThroughLanesManyTimesSmaller) {
  EXPECT_EQ(run_processes<Item>(multiplying_pipeline(400), items(100, 5), tiny()),
            run_inline(multiplying_pipeline(400), items(100, 5)).events<Item>("out"));
}

TEST_F(EngineTest, CarriesRecordsOfEverySize) {
  Pipeline pipeline{"records"};
  pipeline.inlet<Bytes>("in").to<EchoBytes>("echo").outlet("out");
  std::vector<std::string> texts;
  for (std::size_t size = 0; size <= 4088; size += 73)
    texts.emplace_back(size, static_cast<char>('a' + size % 26));
  texts.emplace_back(4088, 'z');
  EXPECT_EQ(run_processes<Bytes>(pipeline, std::vector<Bytes>{texts.begin(), texts.end()}, tiny()), texts);
}

TEST_F(EngineTest, WaitsForItsSourcesAndTheirLastWords) {
  Pipeline pipeline{"sources"};
  pipeline.source<Numbers>("numbers", {.workers = 3}, 30'000U)
      .round_robin()
      .to<Sum>("sum", {.workers = 2})
      .outlet("out");
  Engine engine{pipeline, tiny()};
  engine.start();
  Collector<std::uint64_t> out{engine, "out"};
  engine.wait();
  EXPECT_TRUE(engine.over());
  const auto sums = out.all();
  ASSERT_THAT(sums, SizeIs(2));
  EXPECT_EQ(sums[0] + sums[1], 30'000ULL * 29'999 / 2);
}

TEST_F(EngineTest, SaysALastWordLongerThanALaneInPortions) {
  Pipeline pipeline{"hoard"};
  pipeline.inlet<Item>("in").to<Hoard>("hoard").outlet("out");
  EXPECT_EQ(sorted(run_processes<Item>(pipeline, items(3000, 3), tiny())), sorted(items(3000, 3)));
}

TEST_F(EngineTest, RunsTwiceOneAfterTheOtherInOneProcess) {
  for (int run = 0; run < 2; ++run)
    EXPECT_THAT(run_processes<Counted>(counting_pipeline(2), items(100, 3), test_settings()), SizeIs(100));
}

TEST_F(EngineTest, LetsTheHostUseThreadsAfterTheStart) {
  Pipeline pipeline{"threads"};
  const auto left = pipeline.inlet<Item>("left");
  left.merge(pipeline.inlet<Item>("right")).to<Echo>("echo").outlet("out");
  Engine engine{pipeline, tiny()};
  engine.start();
  Collector<Item> out{engine, "out"};
  const auto feed = [&engine](const char* name) {
    auto in = engine.inlet<Item>(name);
    for (const Item& item : items(2000, 1))
      EXPECT_EQ(in.push(item), PushResult::accepted);
    in.close();
  };
  std::thread one{feed, "left"};
  std::thread other{feed, "right"};
  one.join();
  other.join();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(4000));
}

// Drain and stop.

TEST_F(EngineTest, DrainDeliversEveryEventAcceptedBefore) {
  Engine engine{counting_pipeline(2), tiny()};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(3000, 5))
    ASSERT_EQ(in.push(item), PushResult::accepted);
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(3000));
  EXPECT_EQ(in.push(Item{}), PushResult::ended);
}

struct Endless {
  explicit Endless(Worker& worker) : made{worker.state<std::uint32_t>("made")} {}
  bool operator()(Output<Item>& out) {
    out.push({0, made.edit()++});
    return true;
  }
  Recoverable<std::uint32_t> made;
};

TEST_F(EngineTest, DrainEndsSourcesThatWouldGoOnForEver) {
  Pipeline pipeline{"endless"};
  pipeline.source<Endless>("endless").to<Sum>("sum").outlet("out");
  Engine engine{pipeline, test_settings()};
  engine.start();
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "sum/0").events_in > 1000; }));
  engine.drain();
  const std::uint64_t made = worker_of(engine, "endless/0").events_out;
  EXPECT_EQ(worker_of(engine, "sum/0").events_in, made);
  auto out = engine.outlet<std::uint64_t>("out");
  EXPECT_EQ(out.poll([&](std::uint64_t sum) { EXPECT_EQ(sum, made * (made - 1) / 2); }), 1U);
}

TEST_F(EngineTest, StopEndsEverythingAndLeavesNoProcess) {
  Engine engine{diamond_pipeline(), test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push(Item{}), PushResult::accepted);
  const std::vector<pid_t> pids = pids_of(engine);
  ASSERT_THAT(pids, SizeIs(4));
  engine.stop();
  for (const pid_t pid : pids)
    EXPECT_FALSE(is_alive(pid));
  EXPECT_TRUE(engine.over());
  EXPECT_NO_THROW(engine.wait());
  EXPECT_NO_THROW(engine.stop()) << "it can be repeated";
}

TEST_F(EngineTest, StopEndsInletsAndOutlets) {
  Engine engine{counting_pipeline(1), test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Counted>("out");
  engine.stop();
  EXPECT_EQ(in.push(Item{}), PushResult::ended);
  out.poll([](const Counted&) {});
  EXPECT_TRUE(out.ended());
}

// Pushes in a thread of its own until it is told that there is an end.
class Pusher {
 public:
  explicit Pusher(Engine& engine)
      : thread_{[this, in = engine.inlet<Item>("in")]() mutable {
          while (in.push(Item{}) == PushResult::accepted)
            ++pushed_;
          ended_ = true;
        }} {}
  ~Pusher() { thread_.join(); }
  Pusher(const Pusher&) = delete;
  Pusher& operator=(const Pusher&) = delete;

  std::size_t pushed() const { return pushed_; }
  bool ended() const { return ended_; }

 private:
  std::atomic<std::size_t> pushed_{0};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

Pipeline echo_pipeline() {
  Pipeline pipeline{"echo"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  return pipeline;
}

// All lanes are full and the host waits: the outlet is not pulled.
bool is_full(const Engine& engine) {
  return worker_of(engine, "echo/0").full_waits > 0 && worker_of(engine, "echo/0").occupancy == 1;
}

TEST_F(EngineTest, StopReleasesAHostThatWaitsForRoom) {
  Engine engine{echo_pipeline(), tiny()};
  engine.start();
  Pusher pusher{engine};
  EXPECT_TRUE(eventually([&] { return is_full(engine); }));
  EXPECT_FALSE(pusher.ended());
  engine.stop();
  EXPECT_TRUE(eventually([&] { return pusher.ended(); }));
}

TEST_F(EngineTest, ThatLosesMasterAndSupervisorReleasesTheHostAndSaysSo) {
  Engine engine{echo_pipeline(), tiny()};
  engine.start();
  const pid_t worker = worker_of(engine, "echo/0").pid;
  auto out = engine.outlet<Item>("out");
  Pusher pusher{engine};
  EXPECT_TRUE(eventually([&] { return is_full(engine); }));
  kill_control_plane_of(engine);
  EXPECT_TRUE(eventually([&] { return pusher.ended(); }));
  EXPECT_TRUE(eventually([&] { return !is_alive(worker); })) << "the workers go with them";
  EXPECT_TRUE(eventually([&] {
    out.poll([](const Item&) {});
    return out.ended();
  }));
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              HasSubstr("its master and its supervisor died before either could replace the other"));
}

TEST_F(EngineTest, EndsForAHostThatReapsEveryChildItself) {
  std::signal(SIGCHLD, SIG_IGN);
  {
    Engine engine{counting_pipeline(1), test_settings()};
    engine.start();
    kill_control_plane_of(engine);
    EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }), HasSubstr("its master"));
  }
  // The quickest of some, since the machine may be busy: two seconds are what it waits for a master that hangs.
  std::chrono::nanoseconds quickest = kDeadline;
  for (int attempt = 0; attempt < 5 && quickest >= 1500ms; ++attempt) {
    Engine engine{counting_pipeline(1), test_settings()};
    engine.start();
    const auto start = std::chrono::steady_clock::now();
    engine.stop();
    quickest = std::min<std::chrono::nanoseconds>(quickest, std::chrono::steady_clock::now() - start);
  }
  EXPECT_LT(quickest, 1500ms) << "stop() takes its time only for a master that hangs";
  std::signal(SIGCHLD, SIG_DFL);
}

// Policies for full lanes.

Settings policy(const char* name) {
  Settings settings = tiny();
  settings.set("lane.full", name);
  return settings;
}

TEST_F(EngineTest, DropsTheNewestAndCountsThemWhenAskedTo) {
  Engine engine{multiplying_pipeline(2000), policy("drop_newest")};
  engine.start();
  auto in = engine.inlet<Item>("in");
  constexpr std::uint64_t kEvents = 100;
  for (std::uint64_t i = 0; i < kEvents; ++i)
    EXPECT_NE(in.push(Item{}), PushResult::ended);
  in.close();
  std::uint64_t got = 0;
  auto out = engine.outlet<Item>("out");
  EXPECT_TRUE(eventually([&] {
    got += out.poll([](const Item&) {});
    return out.ended();
  }));
  EXPECT_TRUE(engine.wait_for(kDeadline));
  const WorkerStats multiply = worker_of(engine, "multiply/0");
  const WorkerStats echo = worker_of(engine, "echo/0");
  EXPECT_GT(multiply.dropped, 0U) << "2000 items do not fit into a lane of 512";
  EXPECT_EQ(multiply.events_out + multiply.dropped, 2000 * multiply.events_in);
  EXPECT_EQ(got + echo.dropped, echo.events_in);
}

TEST_F(EngineTest, TellsTheHostThatItsEventWasDropped) {
  Engine engine{echo_pipeline(), policy("drop_newest")};
  engine.start();
  // Stopped, it empties nothing.
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGSTOP));
  auto in = engine.inlet<Item>("in");
  EXPECT_TRUE(eventually([&] { return in.push(Item{}) == PushResult::dropped; }));
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGCONT));
  EXPECT_TRUE(eventually([&] { return in.push(Item{}) == PushResult::accepted; }));
}

TEST_F(EngineTest, FailsWhenAskedTo) {
  Engine engine{multiplying_pipeline(2000), policy("fail")};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push(Item{});
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("multiply/0"), HasSubstr("the lane is full and lane.full is `fail`")));
}

TEST_F(EngineTest, FailsTheHostsPushWhenAskedToAndGoesOn) {
  Engine engine{echo_pipeline(), policy("fail")};
  engine.start();
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGSTOP));
  auto in = engine.inlet<Item>("in");
  EXPECT_THAT(error_of([&] { eventually([&] { return in.push(Item{}) != PushResult::accepted; }); }),
              HasSubstr("the lane is full"));
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGCONT));
  EXPECT_FALSE(engine.over());
}

}  // namespace
}  // namespace sluice::test
