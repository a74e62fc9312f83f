// SPDX-License-Identifier: Apache-2.0
// When a worker looks at its lanes: once for a batch, and where events come in a stream not at once; unless it shares its place.
#include <utility>

#include <gtest/gtest.h>

#include "scene.hpp"

namespace sluice::test {
namespace {

using Step = WorkerLoop::Step;

struct Split {
  Step step() { return scene.step(process); }
  std::uint64_t events() const {
    return scene.wiring().worker(worker_of(process)).cursors()[kEventsIn].load();
  }

  Scene scene;
  ProcessIndex process = scene.process("split/0");
};

TEST(Stream, IsLetGatherBeforeTheLookThatFollows) {
  Split split;
  split.scene.push(1);
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.step(), Step::nothing);
  EXPECT_EQ(split.scene.gathered(), 0) << "an event that comes alone";

  split.scene.push(3);
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.scene.gathered(), 0) << "its results are published first";
  EXPECT_EQ(split.events(), 4U);
  EXPECT_EQ(split.step(), Step::nothing);
  EXPECT_EQ(split.scene.gathered(), 1);
  EXPECT_EQ(split.step(), Step::nothing);
  EXPECT_EQ(split.scene.gathered(), 1) << "it has run dry";
}

TEST(Stream, IsNotWaitedForWhileMoreIsKnown) {
  Split split;
  split.scene.push(18);
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.events(), 16U) << "as batch.events has it";
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.events(), 18U);
  EXPECT_EQ(split.scene.gathered(), 0);
  EXPECT_EQ(split.step(), Step::nothing);
  EXPECT_EQ(split.scene.gathered(), 1);
}

class Batch : public testing::Test {
 protected:
  // Of an event, in whose midst two others come.
  void handle_one() {
    split_.scene.in_event = [this, pushed = false]() mutable {
      if (!std::exchange(pushed, true)) split_.scene.push(2);
    };
    split_.scene.push(1);
    EXPECT_EQ(split_.step(), Step::worked);
  }

  Split split_;
};

TEST_F(Batch, HasWhatOneLookHasFound) {
  handle_one();
  EXPECT_EQ(split_.events(), 1U);
  EXPECT_EQ(split_.step(), Step::worked);
  EXPECT_EQ(split_.events(), 3U);
}

TEST_F(Batch, OfAWorkerThatSharesItsPlaceTakesAlongWhatHasComeMeanwhile) {
  split_.scene.may_gather = false;
  handle_one();
  EXPECT_EQ(split_.events(), 3U);
}

}  // namespace
}  // namespace sluice::test
