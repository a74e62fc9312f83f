// SPDX-License-Identifier: Apache-2.0
// How a death is explained from what is left of it, and whom it is counted against. Pure.

#include "death/death.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "death/memory_events.hpp"
#include "worker/worker_process.hpp"

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;

Evidence exited(int status) {
  Evidence evidence;
  evidence.status = WaitStatus{true, status};
  return evidence;
}

Evidence killed(int signal) {
  Evidence evidence;
  evidence.status = WaitStatus{false, signal};
  return evidence;
}

Evidence noted(Evidence evidence, CrashKind kind, int signal) {
  evidence.note = kind;
  evidence.note_signal = signal;
  return evidence;
}

TEST(Death, IsTheEndOfAWorkerWhoseRegionSaysThatItHasFinished) {
  Evidence evidence = exited(kExitFinished);
  evidence.finished = true;
  EXPECT_EQ(death_of(evidence).cause, Cause::finished);
  evidence.status.reset();
  EXPECT_EQ(death_of(evidence).cause, Cause::finished) << "also when nobody knows its status";
  evidence = killed(SIGKILL);
  evidence.finished = true;
  EXPECT_EQ(death_of(evidence).cause, Cause::outside) << "killed before it could leave";
}

TEST(Death, IsNoEndWhenAHandlerExitsWithTheSameStatus) {
  EXPECT_EQ(death_of(exited(kExitFinished)).cause, Cause::exited);
  EXPECT_EQ(death_of(exited(3)).exit_status, 3);
}

TEST(Death, IsHopelessAfterAnError) {
  Evidence evidence = exited(kExitHopeless);
  evidence.gave_up = true;
  EXPECT_EQ(death_of(evidence).cause, Cause::hopeless);
  evidence.status.reset();
  EXPECT_EQ(death_of(evidence).cause, Cause::hopeless);
}

TEST(Death, IsEarnedByASignalThatTheWorkerRaised) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS, SIGTRAP}) {
    const Death death = death_of(noted(killed(signal), CrashKind::signal, signal));
    EXPECT_EQ(death.cause, Cause::crashed);
    EXPECT_EQ(death.signal, signal);
    EXPECT_TRUE(is_earned(death.cause));
    EXPECT_EQ(death_of(killed(signal)).cause, Cause::crashed) << "a handler may have taken the signal over";
  }
}

// Sent by the kernel for what the worker did, or for a limit or a timer of its own, and the default for it taken by the worker itself.
TEST(Death, IsEarnedByASignalThatTheKernelSendsForWhatItAskedFor) {
  for (const int signal : {SIGPIPE, SIGXCPU, SIGXFSZ, SIGALRM, SIGVTALRM, SIGPROF, SIGIO})
    EXPECT_EQ(death_of(killed(signal)).cause, Cause::crashed) << signal;
}

TEST(Death, IsNotEarnedByASignalFromOutside) {
  for (const int signal : {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2})
    EXPECT_FALSE(is_earned(death_of(killed(signal)).cause)) << signal;
  EXPECT_FALSE(is_earned(death_of(noted(killed(SIGSEGV), CrashKind::outside_signal, SIGSEGV)).cause));
  EXPECT_FALSE(is_earned(death_of(noted(killed(SIGABRT), CrashKind::outside_signal, SIGSEGV)).cause))
      << "nor by two of them";
  EXPECT_FALSE(is_earned(death_of(Evidence{}).cause)) << "nor when nobody knows";
}

TEST(Death, IsNotEarnedByAKillThatCameUponACrash) {
  // The note stands, the process was still writing it, and then it was killed: it was crashing all the same,
  // but nobody can tell from a crash that was over.
  EXPECT_FALSE(is_earned(death_of(noted(killed(SIGKILL), CrashKind::signal, SIGSEGV)).cause));
}

TEST(Death, IsEarnedByWhatAHandlerThrew) {
  EXPECT_EQ(death_of(noted(exited(kExitHandlerThrew), CrashKind::exception, 0)).cause, Cause::threw);
  EXPECT_EQ(death_of(noted(exited(kExitHandlerThrew), CrashKind::out_of_memory, 0)).cause,
            Cause::out_of_memory);
}

TEST(Death, IsEarnedWhenTheKernelOrTheWatchdogEndedIt) {
  Evidence evidence = killed(SIGKILL);
  evidence.out_of_memory_kill = true;
  EXPECT_EQ(death_of(evidence).cause, Cause::out_of_memory);
  evidence.ended_by_watchdog = true;
  EXPECT_EQ(death_of(evidence).cause, Cause::stalled);
}

TEST(Death, IsNotEarnedInACallOutsideThatTookLongerThanItHadSaid) {
  Evidence evidence = killed(SIGKILL);
  evidence.ended_by_watchdog = true;
  evidence.overran = true;
  EXPECT_EQ(death_of(evidence).cause, Cause::overran);
  EXPECT_FALSE(is_earned(Cause::overran));
  EXPECT_NE(to_text(death_of(evidence), {}).find("a call outside"), std::string::npos);
}

// The kernel's count of kills, in a file that the test writes.
class OutOfMemoryCount : public testing::Test {
 protected:
  OutOfMemoryCount() { count(3); }
  ~OutOfMemoryCount() override { ::close(file_); }
  void count(int kills) const {
    const std::string text = "low 0\nhigh 0\nmax 7\noom 9\noom_kill " + std::to_string(kills) + "\n";
    EXPECT_EQ(::pwrite(file_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  MemoryEvents events() const { return MemoryEvents{Descriptor{::dup(file_)}}; }

  int file_ = ::memfd_create("count", MFD_CLOEXEC);
};

TEST_F(OutOfMemoryCount, ExplainsAKillRightAfterItHasRisen) {
  MemoryEvents events = this->events();
  count(4);
  EXPECT_TRUE(events.explains_a_kill(10s, 20s));
  EXPECT_FALSE(events.explains_a_kill(10s, 20s)) << "each rise explains one death";
}

TEST_F(OutOfMemoryCount, OfOldAgeBlamesNobody) {
  MemoryEvents events = this->events();
  EXPECT_FALSE(events.explains_a_kill(0s, 1s)) << "what stood there at the start";
  count(4);
  events.look(10s);
  EXPECT_FALSE(events.explains_a_kill(0s, 16s)) << "another process of the group died six seconds ago";
  EXPECT_FALSE(events.explains_a_kill(0s, 16s));
  count(5);
  EXPECT_TRUE(events.explains_a_kill(0s, 17s)) << "and the next one is told apart from it";
}

TEST_F(OutOfMemoryCount, FromBeforeAWorkerWasBornDoesNotBlameIt) {
  MemoryEvents events = this->events();
  count(4);
  events.look(10s);
  EXPECT_FALSE(events.explains_a_kill(11s, 12s));
}

class Blames : public testing::Test {
 protected:
  std::uint32_t count(std::uint64_t event) {
    ++pid_;
    return count_again(event);
  }
  std::uint32_t count_again(std::uint64_t event) {
    return count_blame(blames_, EventName{1, event}, {Cause::crashed, SIGSEGV, 0}, pid_);
  }
  std::array<Blame, kBlamesKept> blames_{};
  std::int32_t pid_ = 100;
};

TEST_F(Blames, AreCountedForEachEventByItself) {
  EXPECT_EQ(count(7), 1U);
  EXPECT_EQ(count(9), 1U);
  EXPECT_EQ(count(7), 2U);
  EXPECT_EQ(count(7), 3U);
  EXPECT_EQ(count(9), 2U);
}

// The master that dealt with it died, and the next one deals with it once more.
TEST_F(Blames, OfOneDeathAreCountedOnce) {
  EXPECT_EQ(count(7), 1U);
  EXPECT_EQ(count_again(7), 1U);
  EXPECT_EQ(count(7), 2U);
  EXPECT_EQ(count_again(7), 2U);
  EXPECT_EQ(count_again(9), 1U);
  // Another process that has got that pid.
  forget_pid(blames_[0].attempts, pid_);
  EXPECT_EQ(count_again(7), 3U);
}

TEST_F(Blames, OfTheEventThatKilledLeastAreForgottenFirst) {
  for (int times = 0; times < 2; ++times)
    EXPECT_EQ(count(7), static_cast<std::uint32_t>(times + 1));
  for (std::uint64_t other = 100; other < 200; ++other)
    EXPECT_EQ(count(other), 1U);
  EXPECT_EQ(count(7), 3U);
}

}  // namespace
}  // namespace sluice::detail
