// SPDX-License-Identifier: Apache-2.0
// One thread does something again and again, another one asks for the end: all that was done is done before the end is made, and
// the end is made. In one process, so that ThreadSanitizer can judge it.
#include <atomic>
#include <cstdint>
#include <thread>

#include <gtest/gtest.h>

#include <sluice/detail/sanitizers.hpp>
#include <sluice/ipc/closing.hpp>

namespace sluice::ipc::test {
namespace {

constexpr int kRounds = SLUICE_THREAD_SANITIZER ? 300 : 2'000;

// What is done is plain data: nothing but the handshake orders it.
class Work {
 public:
  // False once the end was asked for.
  bool do_some() {
    closing_.begin();
    const bool goes_on = !closing_.asked();
    if (goes_on) ++done_;
    if (closing_.end()) make_end();
    return goes_on;
  }
  void ask_for_the_end() {
    closing_.ask();
    if (far_fences()) {
      EXPECT_TRUE(far_fence());
    } else {
      full_fence();
    }
    if (!closing_.under_way()) make_end();
  }
  std::uint64_t done() const { return done_; }
  std::uint64_t done_at_the_end() const { return done_at_the_end_; }
  int ends() const { return ends_.load(); }

 private:
  void make_end() {
    if (ends_.exchange(1) == 0) done_at_the_end_ = done_;
  }

  Closing closing_;
  std::uint64_t done_ = 0;
  std::uint64_t done_at_the_end_ = 0;
  std::atomic<int> ends_{0};
};

class ClosingFenced : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) join_far_fences();
    if (GetParam() && !far_fences()) GTEST_SKIP() << "no membarrier here";
    if (!GetParam()) detail::far_fences_reach_us = false;
  }
  void TearDown() override { detail::far_fences_reach_us = before_; }

 private:
  bool before_ = far_fences();
};

TEST_P(ClosingFenced, IsBehindAllThatWasDoneAndMadeOnce) {
  std::uint64_t in_the_midst = 0;
  for (int round = 0; round < kRounds; ++round) {
    Work work;
    std::atomic<bool> started{false};
    std::thread other{[&] {
      while (!started) {
      }
      for (int i = 0; i < round % 64; ++i)
        std::atomic_signal_fence(std::memory_order_seq_cst);
      work.ask_for_the_end();
    }};
    started = true;
    while (work.do_some()) {
    }
    other.join();
    EXPECT_EQ(work.ends(), 1);
    EXPECT_EQ(work.done_at_the_end(), work.done());
    in_the_midst += work.done() != 0 ? 1 : 0;
  }
  EXPECT_NE(in_the_midst, 0U);
}

INSTANTIATE_TEST_SUITE_P(, ClosingFenced, testing::Bool(),
                         [](const auto& info) { return info.param ? "ByWhoAsks" : "ByBoth"; });

}  // namespace
}  // namespace sluice::ipc::test
