// SPDX-License-Identifier: Apache-2.0
// The mm_pin of a worker: it is there, it runs nothing in the worker's memory, and it goes with the worker.

#include <algorithm>

#include <sluice/detail/sanitizers.hpp>

#include "census.hpp"
#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

std::string name_of(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/comm"};
  std::string name;
  std::getline(file, name);
  return name;
}

class MmPin : public WithProcesses {
 protected:
  void SetUp() override {
#if !defined(__x86_64__) || SLUICE_ADDRESS_SANITIZER || SLUICE_THREAD_SANITIZER
    GTEST_SKIP() << "workers have no mm_pin on this processor, or under this sanitizer";
#endif
    engine_.start();
    worker_ = worker_of(engine_, "count/0").pid;
    mm_pin_ = mm_pin_of(worker_);
  }
  void TearDown() override {
    engine_.stop();
    WithProcesses::TearDown();
  }
  // 0 while there is none.
  static pid_t mm_pin_of(pid_t worker) {
    pid_t found = 0;
    EXPECT_TRUE(eventually([&] {
      for (const pid_t child : children_of(worker)) {
        if (name_of(child) == "sluice-mm-pin") found = child;
      }
      return found != 0;
    }));
    return found;
  }
  bool replaced() const {
    const WorkerStats now = worker_of(engine_, "count/0");
    return now.pid != 0 && now.pid != worker_ && now.lives.back().ready.count() != 0;
  }

  Engine engine_{counting_pipeline(1, "held"), test_settings()};
  pid_t worker_ = 0;
  pid_t mm_pin_ = 0;
};

TEST_F(MmPin, SharesTheMemoryOfItsWorkerAndSleeps) {
  EXPECT_TRUE(is_of("held", mm_pin_));
  EXPECT_TRUE(eventually([this] { return stat_of(mm_pin_).at(0) == "S"; }));
  EXPECT_EQ(cpu_time_of(mm_pin_).count(), 0);
}
TEST_F(MmPin, GoesWithItsWorkerAndIsReaped) {
  ASSERT_TRUE(engine_.signal_worker("count/0", SIGKILL));
  EXPECT_TRUE(eventually([this] { return replaced(); }));
  EXPECT_TRUE(eventually([this] { return stat_of(mm_pin_).empty(); })) << "the mm_pin was left behind";
}
TEST_F(MmPin, GoesWithAWorkerThatEndsByItself) {
  engine_.drain();
  EXPECT_TRUE(eventually([this] { return stat_of(mm_pin_).empty(); })) << "the mm_pin was left behind";
}
TEST_F(MmPin, IsNotNeededForAReplacement) {
  ::kill(mm_pin_, SIGKILL);
  EXPECT_TRUE(eventually([this] { return !is_alive(mm_pin_); }));
  EXPECT_EQ(worker_of(engine_, "count/0").pid, worker_) << "the worker died of its mm_pin's death";
  ASSERT_TRUE(engine_.signal_worker("count/0", SIGKILL));
  EXPECT_TRUE(eventually([this] { return replaced(); }));
}
TEST_F(MmPin, OfAReplacementIsThereToo) {
  ASSERT_TRUE(engine_.signal_worker("count/0", SIGKILL));
  ASSERT_TRUE(eventually([this] { return replaced(); }));
  EXPECT_NE(mm_pin_of(worker_of(engine_, "count/0").pid), 0);
}

}  // namespace
}  // namespace sluice::test
