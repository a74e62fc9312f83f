// SPDX-License-Identifier: Apache-2.0
// Inlets and outlets as neighbours of workers and of each other: who is rung, whose turn it is, and how long an end takes.
#include <array>
#include <sys/ptrace.h>

#include "host/host.hpp"
#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using Clock = std::chrono::steady_clock;

class HostEnds : public WithProcesses {};

// Sleeps at once: every event has to ring.
Settings sleeping_settings() {
  Settings settings = test_settings();
  settings.set("profile", "shared");
  return settings;
}

// How many of `count` round trips came only when the wait had come to its bound, since the ring was taken by another.
int late_trips(Inlet<Item>& in, Outlet<Item>& out, std::uint32_t count) {
  constexpr auto kLate = 50ms;
  int late = 0;
  for (std::uint32_t i = 0; i < count && late < 5; ++i) {
    const auto start = Clock::now();
    EXPECT_EQ(in.push({0, i}), PushResult::accepted);
    while (out.poll([](const Item&) {}) == 0)
      out.wait(kDeadline);
    late += Clock::now() - start >= kLate ? 1 : 0;
  }
  return late;
}

TEST_F(HostEnds, LoseNoRingToAThreadThatWaitsForTheEndOrAtAnotherEnd) {
  Pipeline pipeline{"rings"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  pipeline.inlet<Item>("idle-in").to<Echo>("idle").outlet("idle-out");
  Engine engine{pipeline, sleeping_settings()};
  engine.start();
  std::thread waiter{[&] { engine.wait_for(10 * kDeadline); }};
  std::thread sleeper{[idle = engine.outlet<Item>("idle-out")]() mutable {
    while (!idle.ended())
      idle.wait(kDeadline);
  }};
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  // A busy machine may be late as well, but not every time.
  int late = 1;
  for (int attempt = 0; attempt < 20 && late != 0; ++attempt)
    late = late_trips(in, out, 5000);
  EXPECT_EQ(late, 0);
  in.close();
  engine.inlet<Item>("idle-in").close();
  while (!out.ended())
    out.wait(100ms);
  waiter.join();
  sleeper.join();
}

TEST_F(HostEnds, LetEveryProducerHaveItsTurn) {
  Pipeline pipeline{"turns"};
  pipeline.inlet<Item>("in").by(&Item::key).to<Echo>("echo", {.workers = 2}).outlet("out");
  Settings settings = test_settings();
  settings.set("lane.slots", "1024");
  Engine engine{pipeline, settings};
  engine.start();
  auto out = engine.outlet<Item>("out");
  std::thread pusher{[in = engine.inlet<Item>("in")]() mutable {
    for (std::uint32_t i = 0; i < 60'000; ++i)
      EXPECT_EQ(in.push({i % 64, i}), PushResult::accepted);
    in.close();
  }};
  // Both workers wait for room.
  EXPECT_TRUE(eventually([&] {
    const StageStats echo = engine.stats().stages.front();
    return echo.workers[0].full_waits != 0 && echo.workers[1].full_waits != 0;
  }));
  std::array<std::size_t, 64> had{};
  for (int poll = 0; poll < 10; ++poll) {
    out.wait(kDeadline);
    out.poll([&](const Item& item) { ++had[item.key]; }, 100);
  }
  // A key goes to one of the two: of all keys, those of either have come.
  EXPECT_GT(std::count_if(had.begin(), had.end(), [](std::size_t count) { return count != 0; }), 48);
  while (!out.ended()) {
    out.wait(100ms);
    out.poll([](const Item&) {});
  }
  pusher.join();
  engine.wait();
}

// Looks in its constructor whether its neighbours have been rung by then.
struct LooksAtBells {
  LooksAtBells() {
    for (const ipc::Doorbell* bell : bells)
      rung.push_back(bell->wait(0ns));
  }
  void operator()(const Item& item, Output<Item>& out) const { out.push(item); }

  static std::vector<const ipc::Doorbell*> bells;
  static std::vector<bool> rung;
};
std::vector<const ipc::Doorbell*> LooksAtBells::bells;
std::vector<bool> LooksAtBells::rung;

TEST_F(HostEnds, AreRungByAReplacementBeforeItMakesItsHandler) {
  Pipeline pipeline{"slow constructor"};
  pipeline.inlet<Item>("in").to<LooksAtBells>("look").outlet("out");
  detail::Host host{pipeline.graph(), test_settings()};
  const detail::Wiring& wiring = host.wiring();
  wiring.segment().own_everything();
  for (const detail::EndLayout& end : wiring.layout().ends)
    LooksAtBells::bells.push_back(&wiring.end_bell(end.node));
  const detail::WorkerIndex worker{0};
  detail::DoorbellWaiter waiter{{}, wiring.worker(worker).control(), wiring.bell(worker)};
  const detail::WorkerLoop loop{wiring, worker, waiter};
  EXPECT_EQ(LooksAtBells::rung, (std::vector<bool>{true, true}));
}

// A process that hangs in the kernel on its way out, whatever kills it: its tracer does not let it go.
TEST_F(HostEnds, WaitTogetherForWorkersThatHangInTheKernel) {
  constexpr unsigned kWorkers = 6;
  Engine engine{counting_pipeline(kWorkers, "hanging"), test_settings()};
  engine.start();
  std::vector<pid_t> hanging = pids_of(engine);
  ASSERT_EQ(hanging.size(), kWorkers);
  for (const pid_t pid : hanging) {
    if (::ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACEEXIT) != 0) GTEST_SKIP() << "no right to trace";
  }
  const auto start = Clock::now();
  engine.stop();
  const auto lasted = Clock::now() - start;
  EXPECT_GT(lasted, 500ms) << "they did not hang";
  EXPECT_LT(lasted, 10s) << "2 s for all of them, and 1 s by force; one after the other it would be 12 s";
  for (const pid_t pid : hanging)
    ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
}

}  // namespace
}  // namespace sluice::test
