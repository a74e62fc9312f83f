// SPDX-License-Identifier: Apache-2.0
// Ticks and numbers: each once, through kills, at their times.
#include <optional>
#include <random>
#include <set>

#include <sluice/connect/generator_source.hpp>
#include <sluice/connect/timer_source.hpp>

#include "kill_count.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;

class Clocks : public WithOutside {
 protected:
  // So many times, until the outlet has had so many.
  template <class T>
  static void kill_now_and_then(Engine& engine, const std::string& worker, const Collector<T>& out,
                                unsigned kills, std::size_t until) {
    std::mt19937 numbers{std::random_device{}()};
    while (out.count() < until) {
      const std::size_t next = out.count() + numbers() % (2 * until / kills);
      if (!eventually([&] { return out.count() >= std::min(next, until); })) return;
      engine.signal_worker(worker, SIGKILL);
    }
  }
};

TEST_F(Clocks, TickOnceForEachTimeThroughKills) {
  Pipeline pipeline{"ticks"};
  pipeline.source<TimerSource>("tick", TimerOptions{.interval = 2ms}).outlet("out");
  Engine engine{pipeline, settings({"restart.budget=1000000"})};
  engine.start();
  Collector<Tick> out{engine, "out"};
  const unsigned kills = kills_asked(20);
  kill_now_and_then(engine, "tick/0", out, kills, std::size_t{10} * kills);
  engine.drain();
  std::uint64_t next = 0;
  std::optional<std::int64_t> first_ns;
  for (const Tick& tick : out.all()) {
    EXPECT_EQ(tick.number, next + tick.missed) << "a time has two ticks, or none that is told";
    next = tick.number + 1;
    // The first ones may have been missed.
    const std::int64_t since_first_ns = static_cast<std::int64_t>(tick.number) * 2'000'000;
    if (!first_ns) first_ns = tick.due_ns - since_first_ns;
    EXPECT_EQ(tick.due_ns, *first_ns + since_first_ns);
    EXPECT_LE(tick.due_ns, detail::wall_clock_ns());
  }
  EXPECT_GE(next, kills * 10);
}

TEST_F(Clocks, TickForEveryTimeHoweverLateIfThatIsWanted) {
  Pipeline pipeline{"ticks"};
  pipeline.source<TimerSource>("tick", TimerOptions{.interval = 1ms, .every = true}).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Tick> out{engine, "out"};
  ASSERT_TRUE(engine.signal_worker("tick/0", SIGSTOP));
  std::this_thread::sleep_for(50ms);
  ASSERT_TRUE(engine.signal_worker("tick/0", SIGCONT));
  EXPECT_TRUE(eventually([&] { return out.count() >= 100; }));
  engine.drain();
  std::uint64_t next = 0;
  for (const Tick& tick : out.all()) {
    EXPECT_EQ(tick.number, next++);
    EXPECT_EQ(tick.missed, 0U);
  }
}

TEST_F(Clocks, MakeEachNumberOnceThroughKillsOfWorkersThatShareThem) {
  const unsigned kills = kills_asked(20);
  const std::uint64_t count = std::uint64_t{1'000} * kills;
  Pipeline pipeline{"numbers"};
  pipeline.source<GeneratorSource>("make", {.workers = 2}, GeneratorOptions{.count = count, .rate = 20'000})
      .outlet("out");
  Engine engine{pipeline, settings({"restart.budget=1000000"})};
  const std::int64_t before_ns = detail::wall_clock_ns();
  engine.start();
  Collector<Generated> out{engine, "out"};
  kill_now_and_then(engine, "make/1", out, kills, count / 2);
  EXPECT_TRUE(engine.wait_for(kDeadline));
  std::set<std::uint64_t> numbers;
  std::int64_t last_due_ns = 0;
  for (const Generated& made : out.all()) {
    EXPECT_TRUE(numbers.insert(made.number).second) << made.number;
    last_due_ns = std::max(last_due_ns, made.due_ns);
  }
  EXPECT_EQ(numbers.size(), count);
  EXPECT_EQ(*numbers.rbegin(), count - 1);
  // At this rate the last one was due then, and not before.
  const auto lasts_ns = static_cast<std::int64_t>(count) * 50'000;
  EXPECT_GE(last_due_ns - before_ns, lasts_ns - 10'000'000);
  EXPECT_GE(detail::wall_clock_ns(), last_due_ns - 1'000'000);
}

TEST_F(Clocks, TickOnceWhenTheNextTimeIsBeyondAllClocks) {
  Pipeline pipeline{"once"};
  pipeline
      .source<TimerSource>("tick",
                           TimerOptions{.interval = std::chrono::hours{24 * 365 * 280}, .every = true})
      .outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Tick> out{engine, "out"};
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "tick/0").events_out == 1; }));
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "tick/0").verdict == "idle"; }));
  engine.drain();
  EXPECT_EQ(out.all().size(), 1U);
}

TEST_F(Clocks, SayWhatIsNoTimer) {
  Pipeline fast{"fast"};
  fast.source<TimerSource>("tick", TimerOptions{.interval = 1us}).outlet("out");
  Engine one{fast, settings()};
  EXPECT_THAT(error_of([&] { one.start(); }), HasSubstr("1 ms"));
  Pipeline many{"many"};
  many.source<TimerSource>("tick", {.workers = 2}, TimerOptions{}).outlet("out");
  Engine two{many, settings()};
  EXPECT_THAT(error_of([&] { two.start(); }), HasSubstr("one worker"));
}

}  // namespace
}  // namespace sluice::test
