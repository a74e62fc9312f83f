// SPDX-License-Identifier: Apache-2.0
// The watchdog's judgement, row by row of the table in watchdog.hpp, under a fake clock. What follows from it
// for real processes is in stall_test.cpp.

#include "master/watchdog.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;
using ipc::Activity;
using std::chrono::nanoseconds;

constexpr WatchLimits kLimits{.deadline = 200ms, .start_deadline = 2s, .late = 100ms, .longest_wait = 1s};
constexpr nanoseconds kTick = 10ms;

// A worker as the watchdog sees it, look after look.
class Watched {
 public:
  Activity activity = Activity::busy;
  ProgressSeen progress{1, 0, 0};
  bool could_move = false;
  bool declared = false;
  char state = 'S';
  double cpu_share = 0;    // Of the time that passes,
  double delay_share = 0;  // and what of it was spent in the queue, as the kernel knows it.
  bool dying = false;
  bool run_delay_known = true;

  Verdict look(nanoseconds after = kTick) {
    now_ += after;
    cpu_ += share(after, cpu_share);
    delay_ += share(after, delay_share);
    Observation seen{now_, activity, progress, could_move, declared, {}};
    if (is_suspicious(watch_, seen)) seen.account = account();
    return judge(watch_, seen, kLimits);
  }
  // Looks for so long and gives the last verdict.
  Verdict after(nanoseconds time) {
    Verdict verdict = Verdict::voided;
    for (; time.count() > 0; time -= kTick)
      verdict = look();
    return verdict;
  }
  // How long until it is stalled; not longer than `most`.
  nanoseconds until_stalled(nanoseconds most) {
    const nanoseconds from = now_;
    while (look() != Verdict::stalled && now_ - from < most) {
    }
    return now_ - from;
  }

 private:
  static nanoseconds share(nanoseconds of, double part) {
    return nanoseconds{static_cast<std::int64_t>(static_cast<double>(of.count()) * part)};
  }
  KernelAccount account() const {
    KernelAccount account;
    account.dying = dying;
    account.run_delay_known = run_delay_known;
    account.cpu_time = cpu_;
    account.thread_count = 1;
    account.threads[0] = {1, state, cpu_, delay_};
    return account;
  }

  nanoseconds now_{1s};
  nanoseconds cpu_{0};
  nanoseconds delay_{0};
  Watch watch_{now_, {}};
};

TEST(Watchdog, CallsAWorkerBusyWhoseProgressMoves) {
  Watched worker;
  for (int i = 0; i < 100; ++i) {
    ++worker.progress.event;
    EXPECT_EQ(worker.look(), Verdict::busy);
  }
}

TEST(Watchdog, CallsAWorkerIdleThatWaitsForInputAndHasNone) {
  Watched worker;
  worker.activity = Activity::idle;
  EXPECT_EQ(worker.after(10s), Verdict::idle);
}

TEST(Watchdog, CallsAWorkerBackPressuredThatWaitsForRoomHoweverLong) {
  Watched worker;
  worker.activity = Activity::full;
  EXPECT_EQ(worker.after(10s), Verdict::back_pressured);
}

TEST(Watchdog, EndsAWorkerThatSleepsInOneEventByWallTime) {
  Watched worker;
  EXPECT_EQ(worker.after(kLimits.deadline), Verdict::busy);
  EXPECT_EQ(worker.after(20ms), Verdict::stalled);
}

TEST(Watchdog, EndsAWorkerThatSpinsInOneEventByCpuTime) {
  Watched worker;
  worker.state = 'R';
  worker.cpu_share = 1;
  EXPECT_EQ(worker.after(kLimits.deadline), Verdict::busy);
  EXPECT_EQ(worker.after(20ms), Verdict::stalled);
}

TEST(Watchdog, CallsAWorkerStarvedThatWouldRunAndIsNotLet) {
  Watched worker;
  worker.state = 'R';
  worker.cpu_share = 0.1;
  EXPECT_EQ(worker.after(1s), Verdict::starved);
  EXPECT_EQ(worker.after(1200ms), Verdict::stalled) << "it has had its 200 ms on a processor";
}

TEST(Watchdog, CallsAWorkerStarvedThatSleepsNowButWaitedForAProcessorBefore) {
  Watched worker;
  worker.delay_share = 0.9;
  EXPECT_EQ(worker.after(1s), Verdict::starved);
  EXPECT_EQ(worker.after(1200ms), Verdict::stalled) << "it has slept for 200 ms";
}

TEST(Watchdog, AddsUpWhatAHandlerSpinsAndSleepsInOneEvent) {
  Watched worker;
  worker.cpu_share = 0.01;  // Seen asleep, though it ran since the last look.
  EXPECT_LE(worker.until_stalled(10s), kLimits.deadline + 4 * kTick);
  Watched restless;
  restless.cpu_share = 0.5;
  nanoseconds passed{0};
  Verdict verdict = Verdict::busy;
  for (; verdict != Verdict::stalled && passed < 10s; passed += kTick) {
    restless.state = restless.state == 'R' ? 'S' : 'R';
    verdict = restless.look();
  }
  EXPECT_LE(passed, kLimits.deadline + 4 * kTick);
}

TEST(Watchdog, CountsOnlyTheProcessorsTimeWhereTheKernelKeepsNoDelays) {
  Watched worker;
  worker.run_delay_known = false;
  worker.cpu_share = 0.1;
  EXPECT_EQ(worker.after(1s), Verdict::starved) << "nobody knows what it waited for";
  worker.cpu_share = 0;
  EXPECT_LE(worker.until_stalled(10s), kLimits.deadline) << "it did not run at all, so it slept";
}

TEST(Watchdog, LetsADyingWorkerDie) {
  Watched worker;
  worker.dying = true;
  EXPECT_EQ(worker.after(10s), Verdict::busy) << "it may write a core dump";
}

// Whoever published it may not have got round to ringing the doorbell.
TEST(Watchdog, EndsAnIdleWorkerThatDoesNotSeeItsInputEvenAfterTheLongestWait) {
  Watched worker;
  worker.activity = Activity::idle;
  worker.could_move = true;
  EXPECT_EQ(worker.after(kLimits.deadline + kLimits.longest_wait), Verdict::busy);
  EXPECT_EQ(worker.after(20ms), Verdict::stalled);
}

TEST(Watchdog, EndsAWorkerThatWaitsForRoomThatIsThere) {
  Watched worker;
  worker.activity = Activity::full;
  worker.could_move = true;
  EXPECT_EQ(worker.after(kLimits.deadline + kLimits.longest_wait), Verdict::busy);
  EXPECT_EQ(worker.after(20ms), Verdict::stalled);
}

TEST(Watchdog, EndsAWorkerThatHasFinishedAndDoesNotEnd) {
  Watched worker;
  worker.activity = Activity::finished;
  EXPECT_EQ(worker.after(kLimits.deadline), Verdict::busy);
  EXPECT_EQ(worker.after(20ms), Verdict::stalled);
}

TEST(Watchdog, GivesAStartItsOwnDeadline) {
  Watched worker;
  worker.activity = Activity::starting;
  EXPECT_EQ(worker.after(kLimits.start_deadline), Verdict::busy);
  EXPECT_EQ(worker.after(20ms), Verdict::stalled);
}

TEST(Watchdog, LeavesAStoppedWorkerAloneAndStartsItsClockAnew) {
  for (const char state : {'T', 't'}) {
    Watched worker;
    EXPECT_EQ(worker.after(150ms), Verdict::busy);
    worker.state = state;
    EXPECT_EQ(worker.after(10s), Verdict::stopped);
    worker.state = 'S';
    EXPECT_EQ(worker.after(190ms), Verdict::busy) << "the deadline counts from when it was continued";
    EXPECT_EQ(worker.after(30ms), Verdict::stalled);
  }
}

TEST(Watchdog, DoesNotTryToKillWhatCannotBeKilled) {
  Watched worker;
  worker.state = 'D';
  EXPECT_EQ(worker.after(10s), Verdict::unkillable);
  ++worker.progress.event;
  EXPECT_EQ(worker.look(), Verdict::busy);
}

TEST(Watchdog, DoesNotCallAWaitForADiskUnkillable) {
  Watched worker;
  for (int i = 0; i < 100; ++i) {
    worker.state = i % 2 == 0 ? 'D' : 'R';
    EXPECT_THAT(worker.look(), testing::AnyOf(Verdict::busy, Verdict::starved));
  }
}

TEST(Watchdog, GivesNoVerdictWhenItWokeLateItself) {
  for (const char state : {'S', 'R'}) {
    Watched worker;
    worker.state = state;
    worker.cpu_share = state == 'R' ? 1 : 0;
    EXPECT_EQ(worker.after(190ms), Verdict::busy);
    EXPECT_EQ(worker.look(1h), Verdict::voided);
    EXPECT_NE(worker.look(), Verdict::stalled) << "the pause does not count";
    EXPECT_EQ(worker.after(20ms), Verdict::stalled) << "what was seen before it does";
  }
}

TEST(Watchdog, NeverJudgesByASinglePause) {
  constexpr WatchLimits kShort{.deadline = 20ms, .start_deadline = 200ms, .late = 100ms, .longest_wait = 1s};
  KernelAccount account;
  account.thread_count = 1;
  account.threads[0] = {1, 'S', 0ns, 0ns};
  Watch watch{1s, {1, 0, 0}};
  nanoseconds now = 1s;
  const auto look = [&](nanoseconds after) {
    now += after;
    return judge(watch, {now, Activity::busy, {1, 0, 0}, false, false, account}, kShort);
  };
  EXPECT_EQ(look(1ms), Verdict::busy);
  EXPECT_NE(look(99ms), Verdict::stalled) << "perhaps the machine paused";
  EXPECT_EQ(look(11ms), Verdict::stalled);
}

TEST(Watchdog, TakesALookInTimeForOne) {
  Watched worker;
  EXPECT_EQ(worker.look(kLimits.late), Verdict::busy);
}

TEST(Watchdog, StartsItsClockAnewWithEveryEvent) {
  Watched worker;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(worker.after(190ms), Verdict::busy);
    ++worker.progress.event;
    EXPECT_EQ(worker.look(), Verdict::busy);
  }
}

TEST(Watchdog, CountsCpuTimeOfTheEventAndNotOfTheOnesBefore) {
  Watched worker;
  worker.state = 'R';
  worker.cpu_share = 1;
  worker.after(190ms);
  ++worker.progress.event;
  EXPECT_EQ(worker.after(kLimits.deadline), Verdict::busy);
}

TEST(Watchdog, WaitsForThePidfdOfAWorkerThatHasNoAccountAnyMore) {
  Watch watch{1s, {1, 0, 0}};
  const Observation seen{1s + kTick, Activity::busy, {1, 0, 0}, false, false, {}};
  EXPECT_EQ(judge(watch, seen, kLimits), Verdict::busy);
}

// It has said how long a call outside may take; then it is judged like any other.
TEST(Watchdog, LeavesAWorkerAloneThatHasDeclaredWhatItDoesAndJudgesItFromThenOn) {
  Watched worker;
  worker.declared = true;
  EXPECT_EQ(worker.after(20 * kLimits.deadline), Verdict::outside);
  worker.declared = false;
  EXPECT_LE(worker.until_stalled(10s), 2 * kLimits.deadline);
}

TEST(Watchdog, ShowsASourceThatWaitsAsIdle) {
  Watched worker;
  worker.activity = Activity::idle;
  worker.could_move = true;
  worker.declared = true;
  EXPECT_EQ(worker.after(20s), Verdict::idle);
}

TEST(Watchdog, LeavesAWorkerAloneThatWaitsForTheOutside) {
  Watched worker;
  worker.activity = Activity::outside;
  EXPECT_EQ(worker.after(20s), Verdict::outside);
}

// A source that looks for long and has nothing answers each time: its position stays, its looks are counted.
TEST(Watchdog, TakesALookThatFindsNothingForProgress) {
  Watched worker;
  worker.could_move = true;
  for (int look = 0; look < 100; ++look) {
    EXPECT_EQ(worker.after(kLimits.deadline / 2), Verdict::busy);
    ++worker.progress.looks;
  }
}

TEST(Tick, IsShortEnoughForTheShortestDeadline) {
  EXPECT_EQ(tick_for(10ms, 1s), 10ms);
  EXPECT_EQ(tick_for(10ms, 16ms), 2ms);
  EXPECT_EQ(tick_for(1min, 1s), 125ms);
  EXPECT_EQ(tick_for(10ms, 1ms), 250us);
  EXPECT_EQ(tick_for(100us, 1ms), 100us);
}

TEST(Tick, IsLongerWhileAllAreIdle) {
  EXPECT_EQ(idle_tick_for(10ms, 200ms), 50ms);
  EXPECT_EQ(idle_tick_for(10ms, 1s), 250ms);
  EXPECT_EQ(idle_tick_for(10ms, 24h), 250ms) << "people look on";
  EXPECT_EQ(idle_tick_for(10ms, 16ms), 10ms);
}

TEST(Watchdog, FindsWhoHangsInTheFirstEventAfterAnIdleWhileWithinTwiceItsDeadline) {
  Watched worker;
  const nanoseconds idle_tick = idle_tick_for(kTick, kLimits.deadline);
  worker.activity = Activity::idle;
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(worker.look(idle_tick), Verdict::idle);
  // It begins right behind a look.
  worker.activity = Activity::busy;
  ++worker.progress.event;
  EXPECT_EQ(worker.look(idle_tick), Verdict::busy);
  EXPECT_LE(idle_tick + worker.until_stalled(1s), 2 * kLimits.deadline);
}

TEST(Verdict, HasAName) {
  EXPECT_EQ(name_of(Verdict::back_pressured), "back-pressured");
  EXPECT_EQ(name_of(Verdict::voided), "void");
  EXPECT_EQ(name_of(static_cast<Verdict>(77)), "?");
}

}  // namespace
}  // namespace sluice::test
