// SPDX-License-Identifier: Apache-2.0
// When the places are looked at: within a second, whatever else the master has to do, and whoever the master is.
#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "units.hpp"

namespace sluice::test {
namespace {

using Clock = std::chrono::steady_clock;

class PlaceLooks : public WithProcesses {};

// So the only looks are those of a new master. One that is killed before its first look is due must not be the reason
// that nobody ever looks.
TEST_F(PlaceLooks, AreTheFirstThingThatANewMasterDoes) {
  Engine engine{echo_pipeline(), placed_settings("1h")};
  engine.start();
  const WorkerStats worker = echo_of(engine);
  const CpuSet place = CpuSet::parse(worker.place);
  const CpuSet others = other_units(place);
  if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";
  for (std::uint32_t killed = 1; killed <= 5; ++killed) {
    ASSERT_TRUE(set_units(worker.pid, others));
    ::kill(master_of(engine), SIGKILL);
    ASSERT_TRUE(eventually([&] {
      return engine.stats().masters == killed + 1 && engine.stats().master_at_work.count() != 0 &&
             echo_of(engine).put_back == killed;
    })) << "master "
        << killed + 1;
    EXPECT_EQ(units_of(worker.pid), place);
  }
  engine.stop();
}

// Whoever rewrites it again and again hits the instant between the master's call and its look at what came of it. That must
// not be taken for units that are gone, and given up.
TEST_F(PlaceLooks, PutAWorkerBackOnceWhoeverRewritesItsMaskAllTheTimeStops) {
  Engine engine{echo_pipeline(), placed_settings("1ms")};
  engine.start();
  const WorkerStats worker = echo_of(engine);
  const CpuSet place = CpuSet::parse(worker.place);
  const CpuSet others = other_units(place);
  if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";
  for (int round = 0; round < 5; ++round) {
    const auto until = Clock::now() + 200ms;
    while (Clock::now() < until)
      ASSERT_TRUE(set_units(worker.pid, others));
    EXPECT_TRUE(eventually([&] { return units_of(worker.pid) == place; })) << "round " << round;
  }
  EXPECT_EQ(echo_of(engine).planned_anew, 0U);
  EXPECT_EQ(echo_of(engine).place_refused, "");
  engine.stop();
}

// What somebody sees who moves a worker away whenever it has been put back.
struct PutBack {
  Clock::duration longest{};      // From one time to the next,
  Clock::duration own_longest{};  // and from one look of this process to the next, which sleeps 1 ms between.
  int times = 0;
};

PutBack watch(pid_t worker, const CpuSet& place, const CpuSet& others, int times, Clock::time_point until) {
  PutBack seen;
  Clock::time_point last = Clock::now();
  Clock::time_point back = last;
  EXPECT_TRUE(set_units(worker, others));
  while (seen.times < times && last < until) {
    std::this_thread::sleep_for(1ms);
    const Clock::time_point now = Clock::now();
    seen.own_longest = std::max(seen.own_longest, now - std::exchange(last, now));
    if (units_of(worker) != place) continue;
    if (seen.times++ > 0) seen.longest = std::max(seen.longest, now - back);
    back = now;
    EXPECT_TRUE(set_units(worker, others));
  }
  return seen;
}

// Kills the workers of stage count, one after the other, as fast as they are replaced, until it is gone.
class Storm {
 public:
  explicit Storm(Engine& engine) : thread_{[this, &engine] { run(engine); }} {}
  ~Storm() {
    over_ = true;
    thread_.join();
  }
  std::uint64_t kills() const { return kills_; }

 private:
  void run(Engine& engine) {
    for (std::uint64_t i = 0; !over_; ++i) {
      if (engine.signal_worker("count/" + std::to_string(i % 4), SIGKILL)) ++kills_;
      std::this_thread::sleep_for(1ms);
    }
  }

  std::atomic<bool> over_{false};
  std::atomic<std::uint64_t> kills_{0};
  std::thread thread_;
};

// The promise is a second, and the setting half of it. In a round in which this process, which does next to nothing, did not
// get a processor for a tenth of a second the machine stood still, and the round says nothing.
TEST_F(PlaceLooks, AreASecondApartAtMostWhileWorkersDieAllTheTime) {
  Pipeline pipeline{"placed"};
  pipeline.inlet<Item>("in").to<Echo>("echo").by(&Item::key).to<Count>("count", {.workers = 4}).outlet("out");
  Settings settings = pinned_settings();
  settings.set("restart.budget", "1M");
  settings.set("log.level", "off");
  Engine engine{pipeline, settings};
  engine.start();
  const WorkerStats worker = echo_of(engine);
  const CpuSet place = CpuSet::parse(worker.place);
  const CpuSet others = other_units(place);
  if (others.empty()) GTEST_SKIP() << "there is one unit here, and no other mask to be had";
  constexpr int kTimes = 6;
  const Clock::time_point until = Clock::now() + kDeadline;
  bool judged = false;
  Clock::duration longest = Clock::duration::max();
  {
    const Storm storm{engine};
    while (Clock::now() < until) {
      const Clock::time_point begun = Clock::now();
      const PutBack seen = watch(worker.pid, place, others, kTimes, until);
      if (seen.own_longest > 100ms) continue;
      // Cut off by the end of the time: it had less than it takes.
      if (seen.times < kTimes && Clock::now() - begun < kDeadline / 2) continue;
      EXPECT_EQ(seen.times, kTimes) << "it is not put back";
      // The master as well may have got no processor: the best of some rounds decides.
      judged = true;
      longest = std::min(longest, seen.longest);
      if (longest <= 1s) break;
    }
    EXPECT_GT(storm.kills(), 10U);
  }
  if (judged) {
    EXPECT_LE(longest, 1s);
  }
  engine.stop();
  if (!judged) GTEST_SKIP() << "the machine stood still again and again";
}

}  // namespace
}  // namespace sluice::test
