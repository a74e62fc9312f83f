// SPDX-License-Identifier: Apache-2.0
// The sleeping handshake alone, with nothing between the two sides but its functions: of a sleeper that
// looks for the last time and a waker that has just published, at least one sees the other. Whatever the
// processor holds back in a store buffer shows here, hundreds of thousands of times a second.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <sched.h>

#include <gtest/gtest.h>

#include <sluice/ipc/control.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/ipc/waiting.hpp>

#include "child.hpp"
#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kRounds = 1'000'000;
constexpr std::chrono::seconds kLongest{4};

struct Side {
  Control control;
  alignas(128) std::atomic<std::uint64_t> published;
  alignas(128) std::atomic<std::uint64_t> round;  // Done with it.
  alignas(128) std::atomic<std::uint64_t> saw;    // The last round in which it saw the other.
  std::atomic<std::uint64_t> last_round;          // Of the whole test; of the sleeper's side.
};

// Both sides begin a round at the same time, as nearly as they can; false at the deadline.
bool meet(Side& own, const Side& other, std::uint64_t round) {
  const auto until = Clock::now() + kDeadline;
  // [test.round] release: what this side saw; pairs with the acquire below.
  own.round.store(round, std::memory_order_release);
  for (std::uint64_t looks = 1; other.round.load(std::memory_order_acquire) < round; ++looks) {
    if (looks % 64 == 0) ::sched_yield();
    if (looks % 1024 == 0 && Clock::now() > until) return false;
  }
  return true;
}

// A side is off by this much, so that all distances between them come about.
void stagger(std::mt19937_64& random) {
  for (std::uint64_t pause = random() % 16; pause > 0; --pause)
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

bool be_waker(Side& own, const Side& sleeper, std::mt19937_64 random) {
  volatile std::uint64_t early_looks = 0;
  for (std::uint64_t round = 1;; ++round) {
    if (!meet(own, sleeper, 2 * round)) return false;
    if (sleeper.last_round.load() < round) return true;
    // A word that is at hand is read at once, while the store below still waits for its line.
    early_looks = early_looks + (sleeps(sleeper.control) ? 1 : 0);
    stagger(random);
    own.published.store(round, std::memory_order_release);  // As the store of a cursor.
    Published published;
    if (published.sleeps(sleeper.control)) own.saw.store(round);
    if (!meet(own, sleeper, 2 * round + 1)) return false;
  }
}

// The first round in which neither saw the other; 0: none.
std::uint64_t be_sleeper(Side& own, const Side& waker, std::mt19937_64 random, std::uint64_t& rounds) {
  const auto until = Clock::now() + kLongest;
  std::uint64_t missed = 0;
  for (rounds = 1;; ++rounds) {
    const bool over = missed != 0 || rounds > kRounds || (rounds % 256 == 0 && Clock::now() > until);
    own.last_round.store(over ? rounds - 1 : rounds);
    if (!meet(own, waker, 2 * rounds)) return rounds;
    if (over) break;
    stagger(random);
    if (!fall_asleep(own.control)) return rounds;
    const bool saw = waker.published.load(std::memory_order_acquire) == rounds;
    if (!meet(own, waker, 2 * rounds + 1)) return rounds;
    wake_up(own.control);
    if (random() % 2 == 0) stay_awake(own.control);  // Before the next round, so that it is known by then.
    if (!saw && waker.saw.load() != rounds) missed = rounds;
  }
  --rounds;
  return missed;
}

TEST(Handshake, OfTwoProcessesNeverLeavesBothBlind) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  const std::array specs{RegionSpec{sizeof(Side), {}}, RegionSpec{sizeof(Side), {}}};
  Segment segment{"handshake", specs};
  segment.prefault();
  const auto side = [&](std::size_t region) -> Side& {
    return *reinterpret_cast<Side*>(segment.plain(region).data());
  };
  const std::uint64_t wakers_seed = random();
  std::printf("far fences: %s\n", far_fences() ? "yes" : "no");
  Child waker{[&] {
    segment.own(1);
    return be_waker(side(1), side(0), std::mt19937_64{wakers_seed}) ? 0 : 1;
  }};
  segment.own(0);
  std::uint64_t rounds = 0;
  EXPECT_EQ(be_sleeper(side(0), side(1), random, rounds), 0U) << "the round in which neither saw the other";
  EXPECT_EQ(waker.ending(), "exit 0");
  std::printf("%llu rounds\n", static_cast<unsigned long long>(rounds));
  EXPECT_GT(rounds, 0U);
}

}  // namespace
}  // namespace sluice::ipc::test
