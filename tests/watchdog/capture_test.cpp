// SPDX-License-Identifier: Apache-2.0
// Before a stalled worker dies, its stacks and its event are written down, without its help. And how long it
// takes to see a stall and a death.

#include <algorithm>
#include <fstream>
#include <sys/syscall.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/process_name.hpp>

#include "obedient.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

constexpr std::chrono::milliseconds kEventDeadline{100};

class Capture : public WithReports {
 protected:
  Settings settings() const {
    Settings settings = reporting_settings();
    settings.set("watchdog.deadline", std::to_string(kEventDeadline.count()) + "ms");
    settings.set("restart.backoff", "0s");
    return settings;
  }
};

TEST_F(Capture, HoldsTheFunctionThatSpinsAndTheEvent) {
  Running running{settings()};
  running.push(Deed::pass);
  running.push(Deed::spin_forever);
  running.expect_all_delivered_in_order();
  ASSERT_THAT(stalls(), SizeIs(1));
  EXPECT_THAT(stalls()[0],
              AllOf(StartsWith("{"), HasSubstr(R"("worker":"obedient/0")"), HasSubstr("\"event\":\""),
                    HasSubstr("spins_here"), HasSubstr("WorkerLoop::step()")));
  EXPECT_EQ(running.worker().restarts, 1U);
}

TEST_F(Capture, HoldsTheFunctionThatSleeps) {
  Running running{settings()};
  running.push(Deed::sleep_forever);
  running.expect_all_delivered_in_order();
  ASSERT_THAT(stalls(), SizeIs(1));
  EXPECT_THAT(stalls()[0], AllOf(HasSubstr("sleeps_here"), HasSubstr("state S")));
}

// For as long as it lives, whoever takes the stacks of a worker of that pipeline is killed, sooner or later in its work.
class KillsDumpers {
 public:
  explicit KillsDumpers(const Engine& engine)
      : thread_{[this, master = master_of(engine)] {
          while (!over_) {
            for (const pid_t child : children_of(master))
              kill_if_dumper(child);
            std::this_thread::sleep_for(100us);
          }
        }} {}
  ~KillsDumpers() {
    over_ = true;
    thread_.join();
  }
  KillsDumpers(const KillsDumpers&) = delete;
  KillsDumpers& operator=(const KillsDumpers&) = delete;

 private:
  static void kill_if_dumper(pid_t pid) {
    // Opened before the look: a pid that is another's by now has another's name.
    const detail::Descriptor pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    std::string name;
    std::ifstream{"/proc/" + std::to_string(pid) + "/comm"} >> name;
    if (pidfd && name == detail::kStackDumperName) detail::send_signal(pidfd, SIGKILL);
  }

  std::atomic<bool> over_{false};
  std::thread thread_;
};

TEST_F(Capture, MayFailAndTheStalledWorkerIsReplacedAllTheSame) {
  constexpr std::uint32_t kStalls = 8;
  Running running{settings()};
  {
    const KillsDumpers kills_dumpers{running.engine};
    for (std::uint32_t i = 0; i < kStalls; ++i)
      running.push(i % 2 == 0 ? Deed::sleep_forever : Deed::spin_forever);
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == running.pushed; }));
  }
  EXPECT_EQ(running.worker().restarts, kStalls);
  running.expect_all_delivered_in_order();
  EXPECT_GE(stalls().size(), kStalls) << "one that was killed behind its line has another";
}

[[gnu::noinline]] void waits_for_its_thread(std::thread& thread) {
  thread.join();
  asm volatile("");  // Something is left to do here, so that the call is no jump.
}

struct Threaded {
  explicit Threaded(std::atomic<std::uint64_t>* lives) : lives{lives} {}
  void operator()(const Order& order, Output<Order>& out) const {
    if (lives->fetch_add(1) == 0) {
      std::atomic<std::uint64_t> turns{0};
      std::thread helper{[&turns] { spins_here(turns); }};
      waits_for_its_thread(helper);
    }
    out.push(order);
  }
  std::atomic<std::uint64_t>* lives;
};

TEST_F(Capture, HoldsTheStacksOfAllThreadsOfAHandler) {
  const SharedWord lives;
  Pipeline pipeline{"threaded"};
  pipeline.inlet<Order>("in").to<Threaded>("threaded", &*lives).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Order> out{engine, "out"};
  std::ignore = engine.inlet<Order>("in").push({});
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(1));
  ASSERT_THAT(stalls(), SizeIs(1));
  EXPECT_THAT(stalls()[0], AllOf(HasSubstr("spins_here"), HasSubstr("waits_for_its_thread")));
}

TEST_F(Capture, IsTakenOfManyThatStallAtOnce) {
  constexpr unsigned kWorkers = 8;
  Running running{settings(), kWorkers};
  for (unsigned i = 0; i < kWorkers; ++i)
    running.push(Deed::sleep_forever);
  running.inlet->close();
  ASSERT_TRUE(running.engine.wait_for(kDeadline));
  EXPECT_THAT(running.outlet->all(), SizeIs(kWorkers));
  EXPECT_THAT(stalls(), SizeIs(kWorkers)) << "one for each, with stacks or without";
}

// From the beginning of the event to its second attempt: the stall is seen, its stacks are taken, the worker
// is killed, and its replacement has come to the event. Told, not judged: it is a matter of the machine.
TEST_F(Capture, AndEndOfALivelockTakeTheTimeThatIsToldHere) {
  constexpr std::uint32_t kTimes = 20;
  Running running{settings()};
  std::array<std::vector<std::chrono::nanoseconds>, 2> ends;
  for (std::uint32_t i = 0; i < kTimes; ++i) {
    running.push(i % 2 == 0 ? Deed::spin_forever : Deed::sleep_forever);
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == i + 1; }));
    const WorkerStats worker = running.worker();
    ASSERT_EQ(worker.restarts, i + 1);
    // The replacement's first words say when its predecessor was known to be dead.
    ends[i % 2].push_back(worker.lives.back().predecessor_dead -
                          std::chrono::nanoseconds{running.diary->first_begun_ns[i].load()});
  }
  for (const std::size_t kind : {0U, 1U}) {
    std::vector<std::chrono::nanoseconds>& times = ends[kind];
    std::sort(times.begin(), times.end());
    std::printf(
        "from the beginning of an event that %s for ever to its worker's death, deadline %lld ms: "
        "median %.1f ms, longest %.1f ms\n",
        kind == 0 ? "spins" : "sleeps", static_cast<long long>(kEventDeadline / 1ms),
        static_cast<double>(times[times.size() / 2].count()) / 1e6,
        static_cast<double>(times.back().count()) / 1e6);
  }
  running.expect_all_delivered_in_order();
  EXPECT_THAT(stalls(), SizeIs(kTimes));
}

TEST_F(Capture, ComesNotInTheWayOfAReplacementAfterADeath) {
  constexpr int kTimes = 100;
  Running running{settings()};
  std::vector<std::chrono::nanoseconds> waits;
  for (std::uint32_t i = 0; i < kTimes; ++i) {
    running.push(Deed::pass);
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == i + 1; }));
    ASSERT_TRUE(running.engine.signal_worker("obedient/0", SIGKILL));
    ASSERT_TRUE(eventually([&] {
      const WorkerStats worker = running.worker();
      return worker.restarts == i + 1 && worker.lives.back().incarnation == i + 2 &&
             worker.lives.back().ready.count() != 0;
    }));
    const LifeStats life = running.worker().lives.back();
    waits.push_back(life.born - life.predecessor_dead);
  }
  std::sort(waits.begin(), waits.end());
  std::printf(
      "from a known death to the first instruction of the replacement: median %.0f us, p99 %.0f us, "
      "longest %.0f us\n",
      static_cast<double>(waits[kTimes / 2].count()) / 1e3,
      static_cast<double>(waits[kTimes * 99 / 100].count()) / 1e3,
      static_cast<double>(waits.back().count()) / 1e3);
  running.expect_all_delivered_in_order();
}

}  // namespace
}  // namespace sluice::test
