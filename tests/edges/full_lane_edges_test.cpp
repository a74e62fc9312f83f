// SPDX-License-Identifier: Apache-2.0
// Lanes that lose events when they are full (lane.full): full is what its consumer could have emptied, not what a
// producer has kept to itself until its batch is done.
#include <array>
#include <filesystem>
#include <fstream>
#include <utility>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

class FullLane : public WithProcesses {
 protected:
  // A lane of 512 items into "echo", and two events that make 600 of them in one batch.
  static constexpr std::uint32_t kTimes = 300;
  static constexpr std::uint32_t kItems = 2 * kTimes;

  static Settings settings(const char* policy) {
    Settings settings = test_settings();
    settings.set("lane.slots", "4096");
    settings.set("stage.echo.lane.slots", "512");
    settings.set("stage.echo.lane.full", policy);
    return settings;
  }

  // How many of `rounds` lost something. Each round finds "echo" idle: it has handed on what came before.
  static int losing_rounds(Engine& engine, int rounds) {
    auto in = engine.inlet<Item>("in");
    auto out = engine.outlet<Item>("out");
    const std::array<Item, 2> events{};
    int losing = 0;
    for (int round = 0; round < rounds; ++round) {
      const std::uint64_t dropped = worker_of(engine, "multiply/0").dropped;
      EXPECT_EQ(in.push_batch(events), PushResult::accepted);
      std::size_t got = 0;
      const bool all = eventually([&] {
        if (engine.over()) return true;
        got += out.poll_for(1ms, [](const Item&) {});
        const WorkerStats multiply = worker_of(engine, "multiply/0");
        if (multiply.events_in < 2 * static_cast<std::uint64_t>(round + 1)) return false;
        return got + (multiply.dropped - dropped) >= kItems;
      });
      if (!all || engine.over()) {
        EXPECT_TRUE(all) << "in round " << round << " after " << got;
        return rounds;
      }
      losing += got < kItems ? 1 : 0;
    }
    return losing;
  }
};

TEST_F(FullLane, LosesNothingThatAnIdleConsumerCouldHaveTaken) {
  Engine engine{multiplying_pipeline(kTimes), settings("drop_newest")};
  engine.start();
  // A busy machine may keep the consumer from its processor for longer than it is waited for.
  constexpr int kRounds = 50;
  EXPECT_LE(losing_rounds(engine, kRounds), kRounds / 10);
  EXPECT_FALSE(engine.over());
}

TEST_F(FullLane, IsNoErrorWhileAnIdleConsumerCouldEmptyIt) {
  // An idle consumer that gets no processor for as long as is waited for it is a rare accident of a busy machine.
  constexpr int kMostAttempts = 5;
  bool is_error = true;
  for (int attempt = 0; attempt < kMostAttempts && is_error; ++attempt) {
    Engine engine{multiplying_pipeline(kTimes), settings("fail")};
    engine.start();
    is_error = losing_rounds(engine, 20) != 0;
  }
  EXPECT_FALSE(is_error);
}

// Pushes its event again until the lane takes it, and leaves the file `refused` when it did not.
class Insists {
 public:
  Insists(Worker&, std::filesystem::path refused) : refused_{std::move(refused)} {}
  void operator()(const Item& item, Output<Item>& out) const {
    for (;;) {
      try {
        out.push(item);
        return;
      } catch (const Error&) {
        if (!std::filesystem::exists(refused_)) std::ofstream{refused_} << "refused";
      }
    }
  }

 private:
  std::filesystem::path refused_;
};

// The consumer takes what was published before the event in the handler, so that a push that is repeated comes to its end.
TEST_F(FullLane, TakesAnEventOnceThatIsPushedUntilItIsTaken) {
  const std::filesystem::path refused =
      std::filesystem::temp_directory_path() / ("sluice-refused-" + std::to_string(::getpid()));
  Pipeline pipeline{"insists"};
  pipeline.inlet<Item>("in").to<Insists>("insists", refused).to<Echo>("echo").outlet("out");
  Engine engine{pipeline, settings("fail")};
  engine.start();
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGSTOP));
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  constexpr std::uint32_t kEvents = 2000;  // The inlet's lane has room for them.
  EXPECT_EQ(in.push_batch(items(kEvents, 1)), PushResult::accepted);
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(refused); }));
  std::filesystem::remove(refused);
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGCONT));
  std::uint32_t next = 0;
  EXPECT_TRUE(eventually([&] {
    out.poll_for(1ms, [&](const Item& item) { EXPECT_EQ(item.number, next++); });
    return next == kEvents || engine.over();
  }));
  EXPECT_EQ(next, kEvents);
  EXPECT_FALSE(engine.over());
  engine.drain();
  std::filesystem::remove(refused);
}

TEST_F(FullLane, OfAConsumerThatStandsStillLosesWithoutAWaitForEach) {
  Engine engine{multiplying_pipeline(kTimes), settings("drop_newest")};
  engine.start();
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGSTOP));
  auto in = engine.inlet<Item>("in");
  constexpr std::uint32_t kEvents = 2000;
  const std::vector<Item> events(kEvents);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(in.push_batch(events), PushResult::accepted);
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "multiply/0").events_in == kEvents; }));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s) << "100 ms for each of them would be 200 s";
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "multiply/0").dropped == kEvents * kTimes - 512; }));
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGCONT));
}

TEST_F(FullLane, TakesABatchOfTheHostsInPortions) {
  Pipeline pipeline{"portions"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Engine engine{pipeline, settings("drop_newest")};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  const std::vector<Item> events = items(600, 1);
  int dropped = 0;
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    const PushResult result = in.push_batch(events);
    std::uint32_t next = 0;
    dropped += result == PushResult::dropped ? 1 : 0;
    EXPECT_EQ(in.position(), 600U * (static_cast<unsigned>(round) + 1));
    EXPECT_TRUE(eventually([&] {
      out.poll_for(1ms, [&](const Item& item) { EXPECT_EQ(item.number, next++); });
      return next == 600 || result != PushResult::accepted;
    }));
    while (result != PushResult::accepted && out.poll_for(100ms, [](const Item&) {}) != 0) {
    }
  }
  EXPECT_LE(dropped, kRounds / 10);
}

TEST_F(FullLane, OfTheHostCountsWhatItHasLost) {
  Settings settings = FullLane::settings("drop_newest");
  settings.set("stage.echo.lane.slots", "64");
  Pipeline pipeline{"lost"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  // Nobody pulls, so that all is full in the end.
  const std::vector<Item> many(100);
  for (bool lost = false; !lost || in.position() < 20'000;)
    lost = in.push_batch(many) == PushResult::dropped || lost;
  const std::uint64_t pushed = in.position();
  in.close();
  std::uint64_t got = 0;
  EXPECT_TRUE(eventually([&] {
    got += out.poll([](const Item&) {});
    return out.ended();
  }));
  engine.wait();
  EXPECT_GT(engine.stats().host_dropped, 0U);
  EXPECT_EQ(engine.stats().host_dropped + got, pushed);
  EXPECT_EQ(engine.stats().host_shed, 0U);
}

}  // namespace
}  // namespace sluice::test
