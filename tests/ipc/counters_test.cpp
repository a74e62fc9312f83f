// SPDX-License-Identifier: Apache-2.0
// Counters: what one process, and what several threads of it, count.
#include <cstdint>
#include <thread>

#include <gtest/gtest.h>

#include <sluice/ipc/counters.hpp>

namespace sluice::ipc {
namespace {

TEST(Counter, LosesNothingThatSeveralThreadsCount) {
  constexpr std::uint64_t kEach = 200'000;
  Counter counter{};
  const auto count = [&counter] {
    for (std::uint64_t i = 0; i < kEach; ++i)
      counter.add_among_threads();
  };
  std::thread other{count};
  count();
  other.join();
  EXPECT_EQ(counter.value(), 2 * kEach);
}

}  // namespace
}  // namespace sluice::ipc
