// SPDX-License-Identifier: Apache-2.0
// The doorbell: rings are remembered, a wait has a bound, and any process can ring.
#include <chrono>
#include <csignal>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>
#include <sluice/ipc/doorbell.hpp>

#include "child.hpp"

namespace sluice::ipc::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

bool readable(const Doorbell& bell) {
  pollfd entry{bell.fd(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

TEST(Doorbell, RemembersARingUntilSomebodyWaits) {
  const Doorbell bell;
  bell.ring();
  EXPECT_TRUE(readable(bell)) << "for an event loop";
  EXPECT_TRUE(bell.wait(0ns));
  EXPECT_FALSE(readable(bell));
  EXPECT_FALSE(bell.wait(0ns));
}

TEST(Doorbell, TakesSeveralRingsForOne) {
  const Doorbell bell;
  for (int i = 0; i < 3; ++i)
    bell.ring();
  EXPECT_TRUE(bell.wait(0ns));
  EXPECT_FALSE(bell.wait(0ns));
}

TEST(Doorbell, WaitsNoShorterThanItsBoundWhenNobodyRings) {
  const Doorbell bell;
  for (const auto bound : {0ns, 1ns, 300'000ns, 20'000'000ns}) {
    const auto start = Clock::now();
    EXPECT_FALSE(bell.wait(bound));
    EXPECT_GE(Clock::now() - start, bound);
  }
}

TEST(Doorbell, WakesAProcessThatWaits) {
  const Doorbell bell;
  Child sleeper{[&bell] { return bell.wait(kDeadline) ? 0 : 1; }};
  ::usleep(2'000);
  bell.ring();
  EXPECT_EQ(sleeper.ending(), "exit 0");
}

TEST(Doorbell, IsNotCutShortByASignal) {
  const Doorbell bell;
  struct sigaction handled {};
  handled.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGALRM, &handled, nullptr), 0);
  const itimerval soon{{0, 5'000}, {0, 5'000}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &soon, nullptr), 0);
  const auto start = Clock::now();
  EXPECT_FALSE(bell.wait(50ms));
  EXPECT_GE(Clock::now() - start, 50ms);
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
}

TEST(Doorbell, CanBeHandedOn) {
  Doorbell first;
  const int fd = first.fd();
  const Doorbell second{std::move(first)};
  EXPECT_EQ(second.fd(), fd);
  second.ring();
  EXPECT_TRUE(second.wait(0ns));
}

TEST(Doorbell, WithoutADescriptorLeftIsAClearError) {
  Child child{[] {
    rlimit none{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &none);
    try {
      const Doorbell bell;
    } catch (const Error& error) {
      return error.parts().remedy.find("ulimit -n") == std::string::npos ? 2 : 0;
    }
    return 1;
  }};
  EXPECT_EQ(child.ending(), "exit 0");
}

}  // namespace
}  // namespace sluice::ipc::test
