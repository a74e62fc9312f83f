// SPDX-License-Identifier: Apache-2.0
// The directory of checkpoints is moved away or replaced while its pipeline runs: what is written there counts no more.
#include <functional>
#include <system_error>

#include "with_checkpoints.hpp"

namespace sluice::test {
namespace {

class CheckpointName : public WithCheckpoints {};

// A start goes by the name. What is written where that is no more the name of is no checkpoint.
TEST_F(CheckpointName, IsWhatAStartGoesBy) {
  const std::vector<std::function<void()>> ways{
      [this] { fs::rename(directory(), scratch_ / "elsewhere"); },
      [this] {
        fs::rename(directory(), scratch_ / "another");
        fs::create_directory(directory());
        fs::permissions(directory(), fs::perms::owner_all);
      },
      [this] {
        // A checkpoint may just be written there.
        EXPECT_TRUE(eventually([this] {
          std::error_code busy;
          fs::remove_all(directory(), busy);
          return !busy;
        }));
      },
  };
  std::uint64_t pushed = 0;
  for (const auto& taken_away : ways) {
    {
      Engine engine{counting(), settings()};
      engine.start();
      EXPECT_EQ(engine.inlet<Item>("in").position(), pushed);
      push_and_pull(engine, 100);
      EXPECT_TRUE(eventually([&] { return !files().empty(); }));
      taken_away();
      engine.park();
      EXPECT_EQ(engine.end(), End::parked);
      EXPECT_EQ(engine.kept_in(), directory().string());
    }
    pushed += 100;
    EXPECT_FALSE(files().empty());
  }
  Engine engine{counting(), settings()};
  engine.start();
  EXPECT_EQ(engine.inlet<Item>("in").position(), pushed);
  push_and_pull(engine, 100);
}

// Nobody is told that a start would go on there.
TEST_F(CheckpointName, IsNoPlaceToGoOnFromForWhatHasEndedBeforeItsFirst) {
  Engine engine{counting(), settings({"checkpoint.every=1h"})};
  engine.start();
  EXPECT_EQ(engine.kept_in(), directory().string()) << "a park takes one";
  push_and_pull(engine, 100);
  engine.stop();
  EXPECT_EQ(engine.kept_in(), "");
  EXPECT_TRUE(files().empty());
}

TEST_F(CheckpointName, IsWhereWhatWasStoppedBehindOneGoesOn) {
  {
    Engine engine{counting(), settings()};
    engine.start();
    push_and_pull(engine, 100);
    EXPECT_TRUE(a_new_one());
    engine.stop();
    EXPECT_EQ(engine.kept_in(), directory().string());
  }
  Engine engine{counting(), settings({"checkpoint.every=1h"})};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  engine.stop();
  EXPECT_EQ(engine.kept_in(), directory().string());
}

TEST_F(CheckpointName, ThatWasTakenAwayLetsNothingOut) {
  Engine engine{counting(), settings({"outside.after=checkpoint"})};
  engine.start();
  push_and_pull(engine, 100);
  const fs::path elsewhere = scratch_ / "elsewhere";
  fs::rename(directory(), elsewhere);
  ASSERT_TRUE(put_in_the_way(directory()));
  EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.failures > 0; }));
  EXPECT_EQ(engine.inlet<Item>("in").push({0, 100}), PushResult::accepted);
  // Each of its tries could let it out.
  const std::uint64_t failures = engine.stats().checkpoints.failures;
  EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.failures > failures + 1; }));
  Outlet<Seen> out = engine.outlet<Seen>("out");
  EXPECT_EQ(out.poll([](const Seen&) {}), 0U);
  fs::remove(directory());
  EXPECT_TRUE(eventually([&] { return out.poll([](const Seen&) {}) == 1; }));
}

}  // namespace
}  // namespace sluice::test
