// SPDX-License-Identifier: Apache-2.0
// An event that takes longer than anybody waits: the others go on, it is told, and the checkpoint comes behind it.
#include <fstream>
#include <thread>
#include <utility>

#include <gmock/gmock.h>

#include "with_checkpoints.hpp"

namespace sluice::test {

using namespace detail;
namespace {

// Does not come back from an event before a file is there.
class Waits {
 public:
  explicit Waits(fs::path directory) : directory_{std::move(directory)} {}
  void operator()(const Item&) const {
    std::ofstream{directory_ / "came"} << "here";
    while (!fs::exists(directory_ / "go"))
      std::this_thread::sleep_for(1ms);
  }

 private:
  fs::path directory_;
};

class CheckpointWait : public WithCheckpoints {};

TEST_F(CheckpointWait, ForALongEventHoldsNobodyElseUpAndIsTold) {
  Pipeline pipeline{"waiting"};
  pipeline.inlet<Item>("slow").to<Waits>("waits", scratch_);
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  EXPECT_EQ(engine.inlet<Item>("slow").push({0, 0}), PushResult::accepted);
  ASSERT_TRUE(eventually([&] { return fs::exists(scratch_ / "came"); }));
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  std::uint32_t pulled = 0;
  const auto goes_on = [&] {
    const std::uint32_t before = pulled;
    return in.push({0, 1}) == PushResult::accepted && eventually([&] {
             out.poll([&pulled](const Item&) { ++pulled; });
             return pulled > before;
           });
  };
  // It is waited for ever longer, and the others stand still as long: not for good.
  CheckpointStats stats;
  EXPECT_TRUE(eventually([&] {
    EXPECT_TRUE(goes_on());
    stats = engine.stats().checkpoints;
    return stats.failures > 0;
  }));
  EXPECT_THAT(stats.failure, testing::HasSubstr("not all workers have come to a commit within"));
  EXPECT_TRUE(goes_on());
  std::ofstream{scratch_ / "go"} << "on";
  EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.written > stats.written; }));
  EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.failure.empty(); }));
  EXPECT_TRUE(goes_on());
  engine.stop();
}

}  // namespace
}  // namespace sluice::test
