// SPDX-License-Identifier: Apache-2.0
// Pushes that need not wait, of one event and of many, and a host with an event loop of its own.
#include <array>
#include <atomic>
#include <cstdint>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <string>
#include <thread>
#include <unistd.h>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Pipeline one_echo() {
  Pipeline pipeline{"pushes"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  return pipeline;
}

// A lane holds 512 items.
Settings small_lanes() {
  Settings settings = test_settings();
  settings.set("lane.slots", "512");
  return settings;
}
constexpr std::uint32_t kLane = 512;

// The descriptor is readable before `limit` is over.
bool readable(int fd, std::chrono::milliseconds limit) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, static_cast<int>(limit.count())) == 1;
}

std::string told_by(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

class Push : public WithProcesses {
 protected:
  Push() {
    engine_.emplace(one_echo(), small_lanes());
    engine_->start();
    in_.emplace(engine_->inlet<Item>("in"));
    out_.emplace(engine_->outlet<Item>("out"));
  }
  void TearDown() override {
    engine_.reset();
    WithProcesses::TearDown();
  }

  // The next of all events comes out.
  void expect_events(std::uint32_t count) {
    std::uint32_t got = 0;
    EXPECT_TRUE(eventually([&] {
      out_->poll_for(10ms, [&](const Item& item) {
        EXPECT_EQ(item.number, pulled_++);
        ++got;
      });
      return got >= count;
    }));
    EXPECT_EQ(got, count);
  }

  std::optional<Engine> engine_;
  std::optional<Inlet<Item>> in_;
  std::optional<Outlet<Item>> out_;
  std::uint32_t pulled_ = 0;
};

TEST_F(Push, ThatTriesSaysFullAndPushesNothing) {
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGSTOP));
  std::uint32_t accepted = 0;
  while (in_->try_push({0, accepted}) == PushResult::accepted)
    ++accepted;
  EXPECT_EQ(accepted, kLane);
  EXPECT_EQ(in_->try_push({0, accepted}), PushResult::full);
  EXPECT_EQ(in_->position(), kLane);
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGCONT));
  EXPECT_TRUE(eventually([&] { return in_->try_push({0, accepted}) == PushResult::accepted; }));
  expect_events(kLane + 1);
}

TEST_F(Push, WaitsNoLongerThanItIsTold) {
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGSTOP));
  EXPECT_EQ(in_->push_batch(items(kLane, 1)), PushResult::accepted);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(in_->push_for({0, kLane}, 120ms), PushResult::full);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 120ms);
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGCONT));
  EXPECT_EQ(in_->push_for({0, kLane}, kDeadline), PushResult::accepted);
  EXPECT_EQ(in_->push_for({0, kLane + 1}, std::chrono::nanoseconds::max()), PushResult::accepted);
  expect_events(kLane + 2);
}

// Times that nobody can add to the clock.
TEST_F(Push, WaitsNoTimeForALimitThatIsLongPastAndAsLongAsItTakesForOneThatIsBeyond) {
  constexpr auto kPast = std::chrono::nanoseconds::min();
  constexpr auto kBeyond = std::chrono::nanoseconds::max();
  EXPECT_FALSE(out_->wait(kPast));
  EXPECT_EQ(out_->poll_for(kPast, [](const Item&) {}), 0U);
  EXPECT_FALSE(engine_->wait_for(kPast));
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGSTOP));
  EXPECT_EQ(in_->push_batch(items(kLane, 1)), PushResult::accepted);
  EXPECT_EQ(in_->push_for({0, kLane}, kPast), PushResult::full);
  EXPECT_EQ(in_->push_batch_for(items(1, 1), kPast), PushResult::full);
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGCONT));
  EXPECT_EQ(in_->push_for({0, kLane}, kBeyond), PushResult::accepted);
  EXPECT_TRUE(out_->wait(kBeyond));
  expect_events(kLane + 1);
  in_->close();
  EXPECT_TRUE(engine_->wait_for(kBeyond));
}

TEST_F(Push, OfManyTakesAllOfThemOrNone) {
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGSTOP));
  const std::vector<Item> all = items(800, 1);
  const std::span<const Item> span{all};
  EXPECT_EQ(in_->push_batch(span.first(400)), PushResult::accepted);
  EXPECT_EQ(in_->try_push_batch(span.last(400)), PushResult::full);
  EXPECT_EQ(in_->push_batch_for(span.last(400), 10ms), PushResult::full);
  EXPECT_EQ(in_->position(), 400U);
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGCONT));
  EXPECT_EQ(in_->push_batch(span.last(400)), PushResult::accepted);
  EXPECT_EQ(in_->push_batch(span.first(0)), PushResult::accepted);
  EXPECT_EQ(in_->position(), 800U);
  expect_events(800);
}

TEST_F(Push, OfMoreThanALaneHoldsIsRefusedAsAWhole) {
  EXPECT_THAT(
      told_by([&] { std::ignore = in_->push_batch(items(kLane + 1, 1)); }),
      AllOf(HasSubstr("what is pushed at once takes more than a lane"), HasSubstr("push fewer events")));
  EXPECT_EQ(in_->position(), 0U);
  EXPECT_EQ(in_->push_batch(items(kLane, 1)), PushResult::accepted);
  expect_events(kLane);
}

TEST_F(Push, AgainstAFullOutletOfItsOwnIsTold) {
  std::uint32_t accepted = 0;
  const auto push_for_ever = [&] {
    while (in_->push({0, accepted}) == PushResult::accepted)
      ++accepted;
  };
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(told_by(push_for_ever),
                AllOf(HasSubstr("it would wait for ever"), HasSubstr("'out' is full")));
    EXPECT_EQ(in_->position(), accepted);
    expect_events(accepted - pulled_);
  }
  std::atomic<bool> enough{false};
  std::thread other{[&] {
    while (!enough)
      std::this_thread::sleep_for(1ms);
  }};
  EXPECT_THAT(told_by(push_for_ever), HasSubstr("it would wait for ever")) << "this thread has pulled";
  enough = true;
  other.join();
  expect_events(accepted - pulled_);
}

TEST_F(Push, WaitsForAnotherThreadThatPullsNowAndThen) {
  std::thread puller{[&] {
    while (!out_->ended()) {
      out_->poll([&](const Item& item) { EXPECT_EQ(item.number, pulled_++); });
      if (pulled_ < 1500) std::this_thread::sleep_for(250ms);
    }
  }};
  for (std::uint32_t i = 0; i < 5000; ++i)
    EXPECT_EQ(in_->push({0, i}), PushResult::accepted);
  in_->close();
  puller.join();
  EXPECT_EQ(pulled_, 5000U);
}

// A host with another thread, which may pull some time or never: that cannot be known, so it is said.
class PushBesideAnotherThread : public WithProcesses {
 protected:
  PushBesideAnotherThread() {
    EXPECT_EQ(::pipe2(log_, O_NONBLOCK | O_CLOEXEC), 0);
    Settings settings = small_lanes();
    settings.set("watchdog.deadline", "20ms");
    settings.set("log.level", "warning");
    engine_.emplace(one_echo(), settings);
    engine_->log_to(log_[1]);
    engine_->start();
  }
  ~PushBesideAnotherThread() override {
    engine_.reset();
    ::close(log_[0]);
    ::close(log_[1]);
  }
  const std::string& said() {
    char text[4096];
    for (ssize_t got = 0; (got = ::read(log_[0], text, sizeof(text))) > 0;)
      said_.append(text, static_cast<std::size_t>(got));
    return said_;
  }
  std::size_t lines() {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = said().find("a push to the inlet", at)) != std::string::npos; ++at)
      ++count;
    return count;
  }

  int log_[2] = {-1, -1};
  std::string said_;
  std::optional<Engine> engine_;
};

TEST_F(PushBesideAnotherThread, ToldInTheLogThatNobodyPulls) {
  std::atomic<bool> enough{false};
  std::atomic<std::uint32_t> pushed{0};
  std::thread pusher{[&] {
    auto in = engine_->inlet<Item>("in");
    while (!enough && in.push({0, pushed}) == PushResult::accepted)
      ++pushed;
    in.close();
  }};
  EXPECT_TRUE(eventually([&] { return lines() != 0; })) << said();
  EXPECT_THAT(said(), AllOf(HasSubstr("warning pushes: a push to the inlet 'in' waits for"),
                            HasSubstr("the outlet 'out' is full")));
  // Once for each wait: the next one is told, too.
  auto out = engine_->outlet<Item>("out");
  std::uint32_t pulled = 0;
  const auto take = [&](const Item& item) { EXPECT_EQ(item.number, pulled++); };
  EXPECT_TRUE(eventually([&] { return out.poll(take, 100) != 0; }));
  out.ack();
  EXPECT_TRUE(eventually([&] { return lines() == 2; })) << said();
  enough = true;
  while (!out.ended())
    out.poll_for(10ms, take);
  pusher.join();
  EXPECT_EQ(pulled, pushed);
  engine_->wait();
  EXPECT_EQ(lines(), 2U);
}

TEST_F(Push, WaitsForAStageThatIsSlowAndNotForTheOutlet) {
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGSTOP));
  EXPECT_EQ(in_->push_batch(items(kLane, 1)), PushResult::accepted);
  std::thread later{[&] {
    std::this_thread::sleep_for(400ms);
    engine_->signal_worker("echo/0", SIGCONT);
  }};
  EXPECT_EQ(in_->push({0, kLane}), PushResult::accepted);
  later.join();
  expect_events(kLane + 1);
}

class EventLoop : public Push {};

TEST_F(EventLoop, OfTheHostsIsWokenForEachEventAndForTheEnd) {
  constexpr std::uint32_t kEvents = 3000;
  std::thread pusher{[&] {
    for (std::uint32_t i = 0; i < kEvents; ++i) {
      EXPECT_EQ(in_->push({0, i}), PushResult::accepted);
      // Often enough the other side is on its way to sleep.
      if (i % 3 != 0) std::this_thread::sleep_for(std::chrono::microseconds{i % 100});
    }
    in_->close();
  }};
  std::uint32_t waits = 0;
  while (!out_->ended()) {
    if (out_->poll([&](const Item& item) { EXPECT_EQ(item.number, pulled_++); }) != 0 || out_->arm())
      continue;
    ++waits;
    ASSERT_TRUE(readable(out_->fd(), kDeadline)) << "a ring was lost at " << pulled_;
  }
  pusher.join();
  EXPECT_EQ(pulled_, kEvents);
  EXPECT_GT(waits, 0U);
}

TEST_F(EventLoop, IsWokenWhenAFullInletHasRoom) {
  EXPECT_TRUE(in_->arm()) << "nothing was refused";
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGSTOP));
  EXPECT_EQ(in_->push_batch(items(kLane, 1)), PushResult::accepted);
  EXPECT_EQ(in_->try_push({0, kLane}), PushResult::full);
  EXPECT_FALSE(in_->arm());
  EXPECT_FALSE(readable(in_->fd(), 20ms));
  ASSERT_TRUE(engine_->signal_worker("echo/0", SIGCONT));
  EXPECT_TRUE(readable(in_->fd(), kDeadline));
  EXPECT_TRUE(in_->arm());
  EXPECT_EQ(in_->try_push({0, kLane}), PushResult::accepted);
  expect_events(kLane + 1);
}

TEST_F(EventLoop, IsWokenWhenNoProcessIsLeftThatCouldRing) {
  EXPECT_FALSE(out_->arm());
  kill_control_plane_of(*engine_);
  EXPECT_TRUE(readable(out_->fd(), kDeadline));
  EXPECT_TRUE(eventually([&] { return out_->ended(); }));
}

class PushesOfAThread : public WithProcesses, public testing::WithParamInterface<bool> {
 protected:
  ~PushesOfAThread() override { ::unlink(file_.c_str()); }
  std::string file_ = testing::TempDir() + "sluice_pushes_of_a_thread_" + std::to_string(::getpid());
};

// sluice::run() drains by a signal, in the thread that waits, whatever other threads push at that instant.
TEST_P(PushesOfAThread, AreHandledIfTheyWereAcceptedThoughAnotherEndsThePipeline) {
  Settings settings = small_lanes();
  if (GetParam()) settings.set("segment.path", file_);
  for (std::size_t round = 0; round < 30; ++round) {
    Pipeline pipeline{"pushes"};
    pipeline.inlet<Item>("in").by(&Item::number).to<Echo>("echo", {.workers = 2}).outlet("out");
    Engine engine{pipeline, settings};
    engine.start();
    Collector<Item> out{engine, "out"};
    std::uint32_t accepted = 0;
    std::thread pushes{[&accepted, round, in = engine.inlet<Item>("in")]() mutable {
      for (PushResult result = PushResult::accepted; result == PushResult::accepted;) {
        const std::array two{Item{0, accepted}, Item{0, accepted + 1}};
        const std::size_t count = round % 2 == 0 ? 1 : two.size();
        result = count == 1 ? in.push(two.front()) : in.push_batch(two);
        if (result == PushResult::accepted) accepted += static_cast<std::uint32_t>(count);
      }
    }};
    EXPECT_TRUE(eventually([&] { return out.count() > 10 * round; }));
    if (round % 3 == 0) engine.begin_drain();
    engine.wait();
    pushes.join();
    ASSERT_EQ(out.all().size(), accepted) << "round " << round;
    EXPECT_EQ(engine.left_behind().events, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Push, PushesOfAThread, testing::Bool(),
                         [](const auto& info) { return std::string{info.param ? "Kept" : "NotKept"}; });

}  // namespace
}  // namespace sluice::test
