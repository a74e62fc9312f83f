// SPDX-License-Identifier: Apache-2.0
// The watchdog against a kernel that is made up at random: threads run, wait for a processor, sleep and hang
// in state D, and the kernel's account of them has the holes that the real one has. Whoever uses less than
// its deadline is never ended; whoever hangs always is.

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "master/watchdog.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr WatchLimits kModelLimits{
    .deadline = 100ms, .start_deadline = 1s, .late = 100ms, .longest_wait = 1s};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_{seed} {}
  nanoseconds between(nanoseconds least, nanoseconds most) {
    return nanoseconds{std::uniform_int_distribution{least.count(), most.count()}(engine_)};
  }
  bool one_in(unsigned count) { return std::uniform_int_distribution<unsigned>{1, count}(engine_) == 1; }
  unsigned below(unsigned count) { return std::uniform_int_distribution<unsigned>{0, count - 1}(engine_); }

 private:
  std::mt19937_64 engine_;
};

enum class Phase { runs, waits, sleeps, blocked };

// What a thread wants to do, and how crowded its processor is.
struct Character {
  double runs = 0.5;        // Of its own time, the part that it is on a processor; it sleeps for the rest.
  unsigned queue = 1;       // Waits this many times as long as it runs.
  unsigned disk = 0;        // Once in so many phases it waits in state D. 0: never.
  nanoseconds phase = 5ms;  // The longest piece of its own time.
};

class Thread {
 public:
  Thread(std::int32_t id, const Character& character, Random& random)
      : id_{id}, character_{character}, random_{&random} {}

  void live(nanoseconds time) {
    while (time.count() > 0) {
      if (left_.count() == 0) next_phase();
      const nanoseconds step = std::min(time, left_);
      if (phase_ == Phase::runs) cpu_ += step;
      // A wait for a disk between two looks cannot be told from a sleep.
      if (phase_ != Phase::waits) own_ += step;
      waited_ += phase_ == Phase::waits ? step : 0ns;
      left_ -= step;
      time -= step;
      // Known once the wait is over, and not before.
      if (phase_ == Phase::waits && left_.count() == 0) delay_ = waited_;
    }
  }
  void hang_asleep() {
    phase_ = Phase::sleeps;
    left_ = nanoseconds::max();
  }
  nanoseconds own() const { return own_; }
  nanoseconds cpu() const { return cpu_; }
  ThreadAccount account() const {
    const bool runnable = phase_ == Phase::runs || phase_ == Phase::waits;
    return {id_, runnable ? 'R' : phase_ == Phase::blocked ? 'D' : 'S', cpu_, delay_};
  }

 private:
  void next_phase() {
    const nanoseconds piece = random_->between(1us, character_.phase);
    if (phase_ == Phase::waits) {
      phase_ = Phase::runs;
      left_ = piece;
    } else if (character_.disk != 0 && random_->one_in(character_.disk)) {
      phase_ = Phase::blocked;
      left_ = random_->between(1us, 50ms);
    } else if (static_cast<double>(random_->below(1000)) < character_.runs * 1000) {
      phase_ = Phase::waits;
      left_ = piece * random_->below(2 * character_.queue + 1) + 1ns;
    } else {
      phase_ = Phase::sleeps;
      left_ = piece;
    }
  }

  std::int32_t id_;
  Character character_;
  Random* random_;
  Phase phase_ = Phase::runs;
  nanoseconds left_{0};
  nanoseconds own_{0};
  nanoseconds cpu_{0};
  nanoseconds waited_{0};
  nanoseconds delay_{0};
};

Character any_character(Random& random) {
  return {static_cast<double>(random.below(101)) / 100, random.below(16), random.one_in(4) ? 10U : 0U,
          random.between(10us, 30ms)};
}

KernelAccount account_of(const std::vector<Thread>& threads) {
  KernelAccount account;
  account.thread_count = threads.size();
  for (std::size_t i = 0; i < threads.size(); ++i) {
    account.threads[i] = threads[i].account();
    account.cpu_time += threads[i].cpu();
  }
  return account;
}

class WatchdogModel : public testing::Test {
 protected:
  void SetUp() override {
    seed_ = std::random_device{}();
    RecordProperty("seed", std::to_string(seed_));
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
  }
  std::uint64_t seed_ = 0;
};

// One event of a worker with one thread: its own time is known exactly.
TEST_F(WatchdogModel, NeverEndsAnEventThatNeedsLessThanItsDeadline) {
  Random random{seed_};
  for (int event = 0; event < 3'000; ++event) {
    std::vector<Thread> threads{{1, any_character(random), random}};
    Watch watch{1s, {}};
    nanoseconds now = 1s;
    while (threads[0].own() < kModelLimits.deadline) {
      // A watchdog that is kept from running itself looks seldom.
      const nanoseconds step = random.one_in(20) ? random.between(1ms, 300ms) : random.between(1ms, 20ms);
      threads[0].live(step);
      if (threads[0].own() >= kModelLimits.deadline) break;
      now += step;
      const Verdict verdict = judge(
          watch, {now, ipc::Activity::busy, {1, 0, 0}, false, false, account_of(threads)}, kModelLimits);
      ASSERT_NE(verdict, Verdict::stalled) << "event " << event << ", own time " << threads[0].own() / 1us
                                           << " us, taken for " << watch.own_time / 1us << " us";
      if (now > 1000s) break;
    }
  }
}

// Together they may use more than the deadline, and what one of them waits for may be another that is kept
// waiting.
TEST_F(WatchdogModel, NeverEndsAnEventOfWhichNoThreadHasUsedTheDeadline) {
  Random random{seed_};
  for (int event = 0; event < 500; ++event) {
    std::vector<Thread> threads;
    for (std::int32_t id = 1; id <= 8; ++id)
      threads.emplace_back(id, any_character(random), random);
    Watch watch{1s, {}};
    nanoseconds now = 1s;
    while (now < 100s) {
      const nanoseconds step = random.one_in(20) ? random.between(1ms, 300ms) : random.between(1ms, 20ms);
      nanoseconds most{0};
      for (Thread& thread : threads) {
        thread.live(step);
        most = std::max(most, thread.own());
      }
      if (most >= kModelLimits.deadline) break;
      now += step;
      ASSERT_NE(judge(watch, {now, ipc::Activity::busy, {1, 0, 0}, false, false, account_of(threads)},
                      kModelLimits),
                Verdict::stalled)
          << "event " << event;
    }
  }
}

TEST_F(WatchdogModel, EndsEveryEventThatHangsWithinTwiceItsDeadlineOfItsOwnTime) {
  Random random{seed_};
  for (int event = 0; event < 1'000; ++event) {
    Character character = any_character(random);
    character.disk = 0;
    character.queue = random.below(4);
    character.phase = std::min<nanoseconds>(character.phase, 5ms);
    std::vector<Thread> threads{{1, character, random}};
    if (random.one_in(3)) threads[0].hang_asleep();
    Watch watch{1s, {}};
    nanoseconds now = 1s;
    const nanoseconds tick = tick_for(10ms, kModelLimits.deadline);
    Verdict verdict = Verdict::busy;
    while (verdict != Verdict::stalled) {
      threads[0].live(tick);
      now += tick;
      verdict = judge(watch, {now, ipc::Activity::busy, {1, 0, 0}, false, false, account_of(threads)},
                      kModelLimits);
      // In state R the sleep before it is known only at the next look that finds it asleep.
      ASSERT_LT(threads[0].own(), 4 * kModelLimits.deadline) << "event " << event;
    }
  }
}

TEST_F(WatchdogModel, FollowsThreadsThatComeAndGo) {
  Random random{seed_};
  for (int event = 0; event < 300; ++event) {
    // A main thread that sleeps while short-lived threads do the work and are kept waiting for it.
    KernelAccount account;
    nanoseconds cpu{0};
    Watch watch{1s, {}};
    nanoseconds now = 1s;
    std::int32_t next = 2;
    for (int look = 0; look < 100; ++look) {
      now += random.between(1ms, 10ms);
      cpu += random.between(100us, 900us);  // Of threads that were there and are gone.
      account.cpu_time = cpu;
      account.thread_count = 2;
      account.threads[0] = {1, 'S', 0ns, 0ns};
      account.threads[1] = {next++, 'S', 0ns, 0ns};
      ASSERT_NE(judge(watch, {now, ipc::Activity::busy, {1, 0, 0}, false, false, account}, kModelLimits),
                Verdict::stalled);
    }
  }
}

// A main thread starts one after the other and waits for it. Each is kept waiting for a processor over many looks, and is
// gone at the next one, with all that the kernel knew of its wait; no look need find the one that follows.
TEST_F(WatchdogModel, NeverCountsWhatAThreadHasWaitedThatIsGone) {
  Random random{seed_};
  constexpr nanoseconds kLook = 5ms;
  for (int event = 0; event < 300; ++event) {
    Watch watch{1s, {}};
    nanoseconds now = 1s;
    nanoseconds cpu{0};
    for (std::int32_t id = 2; id < 2 + 8; ++id) {
      const auto look = [&](std::size_t threads) {
        KernelAccount account;
        account.cpu_time = cpu;
        account.thread_count = threads;
        account.threads[0] = {1, 'S', 0ns, 0ns};
        account.threads[1] = {id, 'R', 0ns, 0ns};
        now += kLook;
        return judge(watch, {now, ipc::Activity::busy, {1, 0, 0}, false, false, account}, kModelLimits);
      };
      for (unsigned looks = random.below(40); looks > 0; --looks)
        ASSERT_NE(look(2), Verdict::stalled) << "it waits";
      cpu += random.between(100us, 2ms);
      ASSERT_NE(look(1), Verdict::stalled) << "it is gone, taken for " << watch.own_time / 1us << " us";
    }
  }
}

}  // namespace
}  // namespace sluice::test
