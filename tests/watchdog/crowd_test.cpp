// SPDX-License-Identifier: Apache-2.0
// No healthy worker is killed: sixteen of them on two processors, with burners beside them, each event near
// its deadline now and then, and the watchdog crowded as they are.

#include <random>

#include "obedient.hpp"

namespace sluice::test {
namespace {

constexpr unsigned kWorkers = 16;
constexpr std::chrono::milliseconds kCrowdEventDeadline{200};
// CPU time of all events together, and how long events are pushed, whichever comes first.
constexpr std::chrono::milliseconds kWork{12'000};
constexpr std::chrono::seconds kPushing{15};

void use_two_processors() {
  cpu_set_t allowed;
  ::sched_getaffinity(0, sizeof(allowed), &allowed);
  cpu_set_t two;
  CPU_ZERO(&two);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&two) < 2; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &two);
  }
  ::sched_setaffinity(0, sizeof(two), &two);
}

// Mostly short; one in ten comes near its deadline, by spinning, by sleeping, or with threads.
Order any_order(std::mt19937& random, std::uint32_t number) {
  const auto between = [&random](std::uint32_t least, std::uint32_t most) {
    return std::uniform_int_distribution{least, most}(random);
  };
  switch (between(0, 29)) {
    case 0:
    case 1:
      return {Deed::spin_for, number, between(40, 70), 0};
    case 2:
      return {Deed::sleep_for, number, between(30, 60), 0};
    case 3:
      return {Deed::threads_for, number, between(5, 20), 0};
    default:
      return {between(0, 1) == 0 ? Deed::spin_for : Deed::pass, number, between(0, 3), 0};
  }
}

std::chrono::milliseconds cpu_time_of(const Order& order) {
  if (order.deed == Deed::spin_for) return std::chrono::milliseconds{order.ms};
  return std::chrono::milliseconds{order.deed == Deed::threads_for ? 3 * order.ms : 0};
}

class Crowd : public WithReports {};

TEST_F(Crowd, OfHealthyWorkersOnTooFewProcessorsLosesNoneToTheWatchdog) {
  const std::uint32_t seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random{seed};
  use_two_processors();
  Settings settings = reporting_settings();
  settings.set("watchdog.deadline", std::to_string(kCrowdEventDeadline.count()) + "ms");
  settings.set("lane.slots", "8");  // Little is left to do when the time for pushing is over.
  Running running{settings, kWorkers};
  const auto burn = [] {
    while (true) {
    }
  };
  const Subject one{burn};
  const Subject another{burn};

  std::chrono::milliseconds work{0};
  const auto until = std::chrono::steady_clock::now() + kPushing;
  while (work < kWork && std::chrono::steady_clock::now() < until) {
    const Order order = any_order(random, running.pushed++);
    work += cpu_time_of(order);
    ASSERT_EQ(running.inlet->push(order), PushResult::accepted);
  }
  running.inlet->close();
  ASSERT_TRUE(running.engine.wait_for(2 * kDeadline));

  std::vector<Order> all = running.outlet->all();
  std::uint32_t starved = 0;
  for (const StageStats& stage : running.engine.stats().stages) {
    for (const WorkerStats& worker : stage.workers) {
      EXPECT_EQ(worker.restarts, 0U) << worker.name << " was healthy";
      starved += worker.starved;
    }
  }
  EXPECT_EQ(all.size(), running.pushed);
  std::printf("%u events, %u workers on 2 processors, starved %u times\n", running.pushed, kWorkers, starved);
}

}  // namespace
}  // namespace sluice::test
