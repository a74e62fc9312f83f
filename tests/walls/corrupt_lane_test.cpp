// SPDX-License-Identifier: Apache-2.0
// A corrupt lane at the host, and pipelines that the words of a lane could not tell apart: both are Errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.hpp"
#include "scene.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The cursors of the first lane between two processes.
ipc::LaneMemory lane_between(const Scene& scene, ProcessIndex from, ProcessIndex to) {
  const Layout& layout = scene.wiring().layout();
  for (const LaneIndex lane : scene.wiring().lanes()) {
    if (layout.lanes[lane].producer == from && layout.lanes[lane].consumer == to)
      return scene.wiring().lane(lane);
  }
  throw std::logic_error{"no such lane"};
}

TEST(CorruptLaneAtTheHost, IsAnErrorOfTheOutletThatNamesItsProducer) {
  Scene scene;
  scene.push(10);
  while (scene.turn()) {
  }
  lane_between(scene, scene.process("split/0"), kHostProcess).producer->tail.fetch_xor(1ULL << 40);
  EXPECT_THAT(error_of([&] { scene.turn(); }),
              AllOf(HasSubstr("'odd'"), HasSubstr("split/0"), HasSubstr("out of range")));
}

TEST(CorruptLaneAtTheHost, IsNeverTakenForTheEndOfTheStream) {
  Scene scene;
  scene.push(10);
  while (scene.turn()) {
  }
  lane_between(scene, scene.process("split/0"), kHostProcess).producer->tail.fetch_xor(1ULL << 40);
  EXPECT_NE(error_of([&] { scene.finish(); }), "");
}

TEST(CorruptLaneAtTheHost, IsAnErrorOfTheInletThatNamesTheStage) {
  Scene scene;
  scene.push(10);
  while (scene.turn()) {
  }
  lane_between(scene, kHostProcess, scene.process("split/0")).consumer->head.fetch_xor(1ULL << 40);
  EXPECT_THAT(error_of([&] { scene.push(10'000); }), AllOf(HasSubstr("split"), HasSubstr("out of range")));
}

TEST(Layout, RefusesMoreLanesIntoAWorkerThanAnEventsIdCanName) {
  Pipeline pipeline{"wide"};
  pipeline.inlet<Item>("in")
      .to<Echo>("many", {.workers = 1024})
      .to<Multiply>("few", {.workers = 1}, 1U)
      .outlet("out");
  EXPECT_THAT(error_of([&] { lay_out(pipeline.graph(), resolve({}, pipeline.graph())); }),
              AllOf(HasSubstr("few/0"), HasSubstr("1022"), HasSubstr("fewer workers")));
}

}  // namespace
}  // namespace sluice::test
