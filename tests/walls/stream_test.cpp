// SPDX-License-Identifier: Apache-2.0
// When a worker looks at its lanes: once for a batch, and where events come in a stream not at once.
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
  EXPECT_EQ(split.scene.gathers(), 0) << "an event that comes alone";

  split.scene.push(3);
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.scene.gathers(), 0) << "its results are published first";
  EXPECT_EQ(split.events(), 4U);
  EXPECT_EQ(split.step(), Step::nothing);
  EXPECT_EQ(split.scene.gathers(), 1);
  EXPECT_EQ(split.step(), Step::nothing);
  EXPECT_EQ(split.scene.gathers(), 1) << "it has run dry";
}

TEST(Stream, IsNotWaitedForWhileMoreIsKnown) {
  Split split;
  split.scene.push(18);
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.events(), 16U) << "as batch.events has it";
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.events(), 18U);
  EXPECT_EQ(split.scene.gathers(), 0);
  EXPECT_EQ(split.step(), Step::nothing);
  EXPECT_EQ(split.scene.gathers(), 1);
}

TEST(Batch, HasWhatOneLookHasFound) {
  Split split;
  bool pushed = false;
  split.scene.in_event = [&] {
    if (!pushed) split.scene.push(2);
    pushed = true;
  };
  split.scene.push(1);
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.events(), 1U);
  EXPECT_EQ(split.step(), Step::worked);
  EXPECT_EQ(split.events(), 3U);
}

}  // namespace
}  // namespace sluice::test
