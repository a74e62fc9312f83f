// The watchdog's judgement, row by row of the table in watchdog.hpp, under a fake clock. What follows from it
// for real processes is in stall_test.cpp.

#include "watchdog.hpp"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using ipc::Activity;
using std::chrono::nanoseconds;

constexpr WatchLimits kLimits{.deadline = 200ms, .start_deadline = 2s, .late = 100ms};
constexpr nanoseconds kTick = 10ms;

// A worker as the watchdog sees it, look after look.
class Watched {
 public:
  Activity activity = Activity::busy;
  std::uint64_t progress = 1;
  bool could_move = false;
  char state = 'S';
  double cpu_share = 0;

  Verdict look(nanoseconds after = kTick) {
    now_ += after;
    cpu_ += nanoseconds{static_cast<std::int64_t>(static_cast<double>(after.count()) * cpu_share)};
    Observation seen{now_, activity, progress, could_move, {}};
    if (is_suspicious(watch_, seen)) seen.account = KernelAccount{state, cpu_};
    return judge(watch_, seen, kLimits);
  }
  // Looks for so long and gives the last verdict.
  Verdict after(nanoseconds time) {
    Verdict verdict = Verdict::voided;
    for (; time.count() > 0; time -= kTick)
      verdict = look();
    return verdict;
  }

 private:
  nanoseconds now_{1s};
  nanoseconds cpu_{0};
  Watch watch_{now_, now_, 0, {}};
};

TEST(Watchdog, CallsAWorkerBusyWhoseProgressMoves) {
  Watched worker;
  for (int i = 0; i < 100; ++i) {
    ++worker.progress;
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
  EXPECT_EQ(worker.look(), Verdict::stalled);
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

TEST(Watchdog, EndsAnIdleWorkerThatDoesNotSeeItsInput) {
  Watched worker;
  worker.activity = Activity::idle;
  worker.could_move = true;
  EXPECT_EQ(worker.after(kLimits.deadline), Verdict::busy);
  EXPECT_EQ(worker.after(20ms), Verdict::stalled);
}

TEST(Watchdog, EndsAWorkerThatWaitsForRoomThatIsThere) {
  Watched worker;
  worker.activity = Activity::full;
  worker.could_move = true;
  EXPECT_EQ(worker.after(kLimits.deadline), Verdict::busy);
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
  ++worker.progress;
  EXPECT_EQ(worker.look(), Verdict::busy);
}

TEST(Watchdog, GivesNoVerdictWhenItWokeLateItself) {
  Watched worker;
  EXPECT_EQ(worker.after(190ms), Verdict::busy);
  EXPECT_EQ(worker.look(kLimits.late + 1ns), Verdict::voided);
  EXPECT_EQ(worker.after(kLimits.deadline - kTick), Verdict::busy)
      << "all clocks start anew after a void round";
  EXPECT_EQ(worker.look(), Verdict::stalled);
}

TEST(Watchdog, TakesALookInTimeForOne) {
  Watched worker;
  EXPECT_EQ(worker.look(kLimits.late), Verdict::busy);
}

TEST(Watchdog, StartsItsClockAnewWithEveryEvent) {
  Watched worker;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(worker.after(190ms), Verdict::busy);
    ++worker.progress;
    EXPECT_EQ(worker.look(), Verdict::busy);
  }
}

TEST(Watchdog, CountsCpuTimeOfTheEventAndNotOfTheOnesBefore) {
  Watched worker;
  worker.state = 'R';
  worker.cpu_share = 1;
  worker.after(190ms);
  ++worker.progress;
  EXPECT_EQ(worker.after(kLimits.deadline), Verdict::busy);
}

TEST(Watchdog, WaitsForThePidfdOfAWorkerThatHasNoAccountAnyMore) {
  Watch watch{1s, 1s, 1, {}};
  const Observation seen{1s + kTick, Activity::busy, 1, false, {}};
  EXPECT_EQ(judge(watch, seen, kLimits), Verdict::busy);
}

TEST(Verdict, HasAName) {
  EXPECT_EQ(name_of(Verdict::back_pressured), "back-pressured");
  EXPECT_EQ(name_of(Verdict::voided), "void");
  EXPECT_EQ(name_of(static_cast<Verdict>(77)), "?");
}

}  // namespace
}  // namespace sluice::test
