// SPDX-License-Identifier: Apache-2.0
// How many events a worker has had and made, which nothing counts event by event: it is made of numbers and positions, and
// must be right whatever befell an event. And pushes of one, which have a way of their own.

#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

TEST(EventCount, DividesWhatLiesBetweenTwoPositionsByAnyLength) {
  for (std::uint64_t bytes = 1; bytes <= 300; ++bytes) {
    const detail::EventCount count{bytes};
    for (const std::uint64_t events :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{4095}, std::uint64_t{1} << 32,
          ~std::uint64_t{0} / bytes})
      ASSERT_EQ(count.in(events * bytes), events) << bytes;
  }
  EXPECT_EQ(detail::EventCount{}.in(4096), 0U) << "records are counted by who pushes them";
}

struct Copies {
  std::uint32_t copies;
  bool fails;
};

// Pushes so many copies of each as it says, as values and as records, and fails when it has.
struct PushCopies {
  void operator()(const Copies& event, Output<Item>& items, Output<Bytes>& texts) const {
    for (std::uint32_t i = 0; i < event.copies; ++i) {
      items.push({event.copies, i});
      texts.push(std::string_view{"a text that takes a part of a lane"});
    }
    if (event.fails) throw std::runtime_error{"as asked"};
  }
};

Pipeline copying() {
  Pipeline pipeline{"copy"};
  auto [items, texts] = pipeline.inlet<Copies>("in").to<PushCopies>("copy");
  items.outlet("items");
  texts.outlet("texts");
  return pipeline;
}

TEST(EventCounts, AreThoseOfWhatCameOut) {
  // Lanes of 4 KiB: most of the events are committed in their midst.
  for (const char* slots : {"2", "4096"}) {
    Settings settings;
    settings.set("lane.slots", slots);
    settings.set("lane.bytes", slots[0] == '2' ? "4KiB" : "1MiB");
    InlineRun run{copying(), settings};
    std::uint64_t made = 0;
    for (const std::uint32_t copies : {3U, 0U, 60U, 61U, 7U, 60U}) {
      run.push("in", Copies{copies, false});
      made += std::uint64_t{2} * copies;
    }
    run.run();
    EXPECT_EQ(run.stats().stages.front().events_in(), 6U);
    EXPECT_EQ(run.stats().stages.front().events_out(), made);
    EXPECT_EQ(run.events<Item>("items").size() + run.events<Bytes>("texts").size(), made);
  }
}

TEST(EventCounts, KnowNothingOfAnEventThatWasGivenUp) {
  InlineRun run{copying()};
  for (const Copies& event : {Copies{5, false}, Copies{2, false}, Copies{9, true}})
    run.push("in", event);
  for (int attempt = 0; attempt < 3; ++attempt)
    EXPECT_THROW(run.run(), std::runtime_error);
  const StageStats stage = run.stats().stages.front();
  EXPECT_EQ(stage.events_in(), 2U);
  EXPECT_EQ(stage.events_out(), 14U);
  EXPECT_EQ(run.events<Item>("items").size(), 7U);
  EXPECT_EQ(run.events<Bytes>("texts").size(), 7U);
}

class PushesOfOne : public WithProcesses {};

TEST_F(PushesOfOne, WakeAWorkerThatSleeps) {
  Pipeline pipeline{"echo"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Settings settings = test_settings();
  settings.set("wait.spin", "0s");
  settings.set("wait.yield", "0s");
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  for (std::uint32_t i = 0; i < 20; ++i) {
    ASSERT_EQ(in.push({0, i}), PushResult::accepted);
    ASSERT_EQ(in.position(), i + 1);
    std::size_t came = 0;
    while (came == 0 && !out.ended())
      came = out.poll_for(std::chrono::seconds{10}, [&](const Item& item) { EXPECT_EQ(item.number, i); });
    ASSERT_EQ(came, 1U);
  }
  EXPECT_EQ(engine.stats().stages.front().workers.front().unasked_wakes, 0U);
  // It is the inlet that says so, not the pipeline that has come to its end.
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGSTOP));
  in.close();
  EXPECT_EQ(in.push({}), PushResult::ended);
  ASSERT_TRUE(engine.signal_worker("echo/0", SIGCONT));
  engine.wait();
}

TEST_F(PushesOfOne, AreFullAndAcceptedAgainAsRoomIs) {
  Pipeline pipeline{"echo"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Settings settings = test_settings();
  settings.set("lane.slots", "512");
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  std::uint32_t pushed = 0;
  std::uint32_t pulled = 0;
  for (int round = 0; round < 3; ++round) {
    while (in.try_push({0, pushed}) == PushResult::accepted)
      ++pushed;
    EXPECT_EQ(in.position(), pushed);
    while (pulled < pushed) {
      out.wait(std::chrono::seconds{10});
      ASSERT_NE(out.poll([&](const Item& item) { EXPECT_EQ(item.number, pulled++); }), 0U);
    }
  }
  EXPECT_GE(pushed, 3U * 512U);
  in.close();
  engine.wait();
}

}  // namespace
}  // namespace sluice::test
