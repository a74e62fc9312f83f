// SPDX-License-Identifier: Apache-2.0
// TimerSource and GeneratorSource, and a wall clock that is set while they wait.
#include <atomic>
#include <ctime>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/connect/generator_source.hpp>
#include <sluice/connect/timer_source.hpp>

#include "outside_world.hpp"

namespace {

// By so many seconds the wall clock of this program and its workers is ahead; nullptr: by none.
std::atomic<std::int64_t>* seconds_ahead = nullptr;

}  // namespace

// Instead of the library's.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const auto status = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  if (status == 0 && clock == CLOCK_REALTIME && seconds_ahead != nullptr)
    time->tv_sec += seconds_ahead->load(std::memory_order_relaxed);
  return status;
}

namespace sluice::test {
namespace {

using ::testing::SizeIs;

class ClockSteps : public WithOutside {
 protected:
  ClockSteps() {
    void* const shared =
        ::mmap(nullptr, sizeof(*seconds_ahead), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared != MAP_FAILED) seconds_ahead = new (shared) std::atomic<std::int64_t>{0};
  }
  ~ClockSteps() override { ::munmap(std::exchange(seconds_ahead, nullptr), sizeof(*seconds_ahead)); }

  static bool is_idle(const Engine& engine, const std::string& worker) {
    return eventually([&] { return worker_of(engine, worker).verdict == "idle"; });
  }
  static void set_forward(std::chrono::seconds step) { seconds_ahead->fetch_add(step.count()); }
};

TEST_F(ClockSteps, AreTickedThoughATimerWaitsForALaterTime) {
  Pipeline pipeline{"ticks"};
  pipeline.source<TimerSource>("tick", TimerOptions{.interval = 1h}).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Tick> out{engine, "out"};
  ASSERT_TRUE(eventually([&] { return out.count() == 1; }));
  ASSERT_TRUE(is_idle(engine, "tick/0"));
  set_forward(2h);
  EXPECT_TRUE(eventually([&] { return out.count() == 2; }));
  engine.drain();
  const std::vector<Tick> ticks = out.all();
  ASSERT_THAT(ticks, SizeIs(2));
  EXPECT_EQ(ticks[1].number, 2U);
  EXPECT_EQ(ticks[1].missed, 1U);
}

TEST_F(ClockSteps, MakeDueWhatAGeneratorWaitsFor) {
  Pipeline pipeline{"numbers"};
  pipeline.source<GeneratorSource>("make", GeneratorOptions{.rate = 1.0 / 3600}).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Generated> out{engine, "out"};
  ASSERT_TRUE(eventually([&] { return out.count() == 1; }));
  ASSERT_TRUE(is_idle(engine, "make/0"));
  set_forward(2h);
  EXPECT_TRUE(eventually([&] { return out.count() == 3; }));
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(3));
}

}  // namespace
}  // namespace sluice::test
