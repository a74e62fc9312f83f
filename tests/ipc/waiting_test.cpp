// SPDX-License-Identifier: Apache-2.0
// Waiting: what is ready is seen at once, bounds hold, and of two processes that wake each other neither
// ever sleeps through it.
#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/sanitizers.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/ipc/waiting.hpp>

#include "child.hpp"
#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const std::array kPolicies{WaitPolicy{.spin = 0ns, .yield = 0ns, .sleep = true, .bound = 20ms},
                           WaitPolicy{.spin = 1ms, .yield = 1ms, .sleep = true, .bound = 20ms},
                           WaitPolicy{.spin = 1ms, .yield = 1ms, .sleep = false, .bound = 20ms},
                           WaitPolicy{.spin = 0ns, .yield = 0ns, .sleep = false, .bound = 20ms}};

TEST(Waiting, SeesWhatIsReadyWithoutSayingThatItSleeps) {
  for (const WaitPolicy& policy : kPolicies) {
    Control own{};
    const Doorbell bell;
    EXPECT_EQ(wait(policy, own, bell, [] { return true; }), Woken::ready);
    EXPECT_FALSE(sleeps(own));
  }
}

TEST(Waiting, ReturnsAfterItsBoundWhenNothingComes) {
  for (const WaitPolicy& policy : kPolicies) {
    Control own{};
    const Doorbell bell;
    const auto start = Clock::now();
    EXPECT_EQ(wait(policy, own, bell, [] { return false; }), Woken::bound);
    EXPECT_GE(Clock::now() - start, policy.bound);
    EXPECT_FALSE(sleeps(own)) << "it is awake again";
  }
}

TEST(Waiting, SaysThatItSleepsBeforeItLooksForTheLastTime) {
  Control own{};
  const Doorbell bell;
  int looks = 0;
  const WaitPolicy policy{.spin = 0ns, .yield = 0ns, .sleep = true, .bound = 10s};
  EXPECT_EQ(wait(policy, own, bell, [&] { return ++looks > 0 && sleeps(own); }), Woken::ready);
  EXPECT_EQ(looks, 1);
  EXPECT_FALSE(sleeps(own));
}

TEST(Waiting, WithoutSleepNeverSaysThatItSleeps) {
  for (const WaitPolicy& policy : kPolicies) {
    if (policy.sleep) continue;
    Control own{};
    const Doorbell bell;
    bool slept = false;
    EXPECT_EQ(wait(policy, own, bell,
                   [&] {
                     slept = slept || sleeps(own);
                     return false;
                   }),
              Woken::bound);
    EXPECT_FALSE(slept);
  }
}

TEST(Waiting, WithoutSleepSeesWhatComesLater) {
  for (const WaitPolicy& policy : kPolicies) {
    if (policy.sleep) continue;
    Control own{};
    const Doorbell bell;
    WaitPolicy patient = policy;
    patient.bound = 10s;
    const auto from = Clock::now() + 5ms;
    EXPECT_EQ(wait(patient, own, bell, [from] { return Clock::now() >= from; }), Woken::ready);
  }
}

TEST(Waiting, ThatWasRungForNothingSaysSoBeforeItsBound) {
  Control own{};
  const Doorbell bell;
  bell.ring();
  const WaitPolicy policy{.spin = 0ns, .yield = 0ns, .sleep = true, .bound = 10s};
  const auto start = Clock::now();
  EXPECT_EQ(wait(policy, own, bell, [] { return false; }), Woken::bound);
  EXPECT_LT(Clock::now() - start, 10s);
}

TEST(Waiting, FindsOutThatNobodyRang) {
  Control own{};
  const Doorbell bell;
  const WaitPolicy policy{.spin = 0ns, .yield = 0ns, .sleep = true, .bound = 20ms};
  // It comes right behind the last look before the sleep.
  int looks_asleep = 0;
  const auto ready = [&] { return sleeps(own) ? looks_asleep++ > 0 : looks_asleep > 0; };
  EXPECT_EQ(wait(policy, own, bell, ready), Woken::unasked);
}

TEST(Waiting, DoesNotBlameAPeerWhoseRingCameAsTheBoundPassed) {
  Control own{};
  const Doorbell bell;
  std::atomic<bool> came{false};
  std::atomic<bool> over{false};
  const WaitPolicy policy{.spin = 0ns, .yield = 0ns, .sleep = true, .bound = 5ms};
  // The cursor is seen after the bound, and its ring is under way: the peer was interrupted between them.
  std::thread peer;
  const auto ready = [&] {
    if (came.load() || !sleeps(own)) return came.load();
    if (peer.joinable()) {
      came = true;
      return true;
    }
    peer = std::thread{[&] {
      while (!came.load() && !over.load())
        std::this_thread::yield();
      if (sleeps(own)) bell.ring();
    }};
    return false;
  };
  EXPECT_EQ(wait(policy, own, bell, ready), Woken::ready);
  over = true;
  peer.join();
}

// One side of two that take turns: each publishes a number, rings if need be, and waits for the other's.
struct Side {
  Control control;
  alignas(128) std::atomic<std::uint64_t> published;
  std::atomic<std::uint64_t> sleeps;  // Times it may have blocked.
  std::atomic<std::uint64_t> turns;
};

// Each is a wake for each side. So many, or as many as there is time for: a busy machine takes turns slowly.
constexpr std::uint64_t kTurns = SLUICE_THREAD_SANITIZER || SLUICE_ASSERTIONS ? 10'000 : 50'000;

constexpr Clock::duration kEnough = kDeadline / 4;
constexpr std::uint64_t kNoMore = ~std::uint64_t{0};  // Published: whatever the other awaits is there.

// Empty when every turn came, and none unasked.
std::string take_turns(Side& own, const Side& other, const Doorbell& own_bell, const Doorbell& other_bell,
                       bool first, const WaitPolicy& policy, std::mt19937_64 random) {
  const auto start = Clock::now();
  const auto until = start + kDeadline;
  for (std::uint64_t turn = 1; turn <= kTurns; ++turn) {
    const bool enough = first && turn % 64 == 0 && Clock::now() - start > kEnough;
    const std::uint64_t awaited = first ? turn - 1 : turn;
    const auto ready = [&] { return other.published.load(std::memory_order_acquire) >= awaited; };
    while (!ready()) {
      if (Clock::now() > until) return "deadline in turn " + std::to_string(turn);
      own.sleeps.fetch_add(1);
      if (wait(policy, own.control, own_bell, ready) == Woken::unasked) {
        return "nobody rang in turn " + std::to_string(turn);
      }
    }
    for (std::uint64_t pause = random() % 128; pause > 0; --pause)
      relax();
    own.published.store(enough ? kNoMore : turn, std::memory_order_release);
    Published published;
    if (published.sleeps(other.control)) other_bell.ring();
    own.turns.store(turn);
    if (enough) break;
  }
  return {};
}

void wake_each_other(const WaitPolicy& policy) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  const std::array specs{RegionSpec{sizeof(Side), {}}, RegionSpec{sizeof(Side), {}}};
  Segment segment{"turns", specs};
  segment.prefault();
  const auto side = [&](std::size_t region) -> Side& {
    return *reinterpret_cast<Side*>(segment.plain(region).data());
  };
  const std::array<Doorbell, 2> bells;
  const std::uint64_t others_seed = random();
  Child child{[&] {
    segment.own(1);
    const std::string wrong =
        take_turns(side(1), side(0), bells[1], bells[0], false, policy, std::mt19937_64{others_seed});
    if (!wrong.empty()) std::printf("the other side: %s\n", wrong.c_str());
    std::fflush(stdout);
    return wrong.empty() ? 0 : 1;
  }};
  segment.own(0);
  EXPECT_EQ(take_turns(side(0), side(1), bells[0], bells[1], true, policy, random), "");
  EXPECT_EQ(child.ending(), "exit 0");
  const std::uint64_t turns = side(0).turns;
  std::printf("%llu turns, %llu and %llu waits\n", 2ULL * turns,
              static_cast<unsigned long long>(side(0).sleeps),
              static_cast<unsigned long long>(side(1).sleeps));
  EXPECT_GT(turns, 100U);
  // On one processor a side that rings is overtaken by the other, and finds all there when it goes on: it never waits.
  EXPECT_GT(side(0).sleeps + side(1).sleeps, turns / 2);
}

TEST(Waking, OfTwoProcessesThatSleepAtOnceLosesNothing) {
  wake_each_other({.spin = 0ns, .yield = 0ns, .sleep = true, .bound = 10s});
}
TEST(Waking, OfTwoProcessesThatSleepAfterALittleSpinningLosesNothing) {
  wake_each_other({.spin = 1us, .yield = 1us, .sleep = true, .bound = 10s});
}

}  // namespace
}  // namespace sluice::ipc::test
