// SPDX-License-Identifier: Apache-2.0
// Worker::when_safe() and Inlet::safe(): with outside.after=checkpoint nothing is acknowledged that no checkpoint on the disk
// holds, and what is held is acknowledged without a further event.
#include <algorithm>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

// Makes a number once there is the file `go`, and says in a log when it is made and when that is safe; then has nothing more.
class TellsWhenSafe {
 public:
  TellsWhenSafe(Worker& worker, std::string log, std::string go)
      : worker_{worker},
        log_{std::move(log)},
        go_{std::move(go)},
        next_{worker.state<std::uint32_t>("next")} {
    told_ = made_ = *next_;
    worker_.when_safe([this] { log_line(log_, "begins " + std::to_string(told_)); });
    worker_.after_commit([this] {
      if (made_ == told_ && !finished_) return;
      told_ = made_;
      const std::string line = finished_ ? "the end" : "told " + std::to_string(made_);
      log_line(log_, "made " + std::to_string(made_));
      worker_.when_safe([this, line] { log_line(log_, line); });
    });
  }
  SourceState operator()(Output<Item>& out) {
    if (*next_ == 1) {
      worker_.wait_for(1h);
      return SourceState::nothing_now;
    }
    if (!fs::exists(go_)) {
      worker_.wait_for(1ms);
      return SourceState::nothing_now;
    }
    out.push({0, *next_});
    made_ = ++next_.edit();
    return SourceState::more;
  }
  void finish(Output<Item>&) {
    log_line(log_, "finishes");
    finished_ = true;
  }

 private:
  Worker& worker_;
  std::string log_;
  std::string go_;
  Recoverable<std::uint32_t> next_;
  std::uint32_t made_ = 0;
  std::uint32_t told_ = 0;
  bool finished_ = false;
};

class WhenSafe : public WithOutside {
 protected:
  Pipeline pipeline() const {
    Pipeline pipeline{"tells"};
    pipeline.source<TellsWhenSafe>("tell", {}, log(), file("go")).outlet("out");
    return pipeline;
  }
  bool says(const std::string& line) const {
    return eventually([&] {
      const auto lines = lines_of(log());
      return std::find(lines.begin(), lines.end(), line) != lines.end();
    });
  }
};

TEST_F(WhenSafe, TellsAnIdleSourceOnceACheckpointHoldsIt) {
  Engine engine{pipeline(), after_checkpoints()};
  engine.start();
  forbid_checkpoints(engine);
  std::ofstream{file("go")} << "go";
  EXPECT_TRUE(says("made 1"));
  EXPECT_TRUE(checkpoint_fails(engine) && checkpoint_fails(engine));
  EXPECT_THAT(lines_of(log()), Not(Contains("told 1")));
  allow_checkpoints();
  EXPECT_TRUE(says("told 1"));
  Collector<Item> out{engine, "out"};
  engine.drain();
  EXPECT_EQ(out.all().size(), 1U);
  engine.wait();
  // Before its last word it has told what was before; and it does not end before the rest is told.
  EXPECT_THAT(lines_of(log()), ElementsAre("begins 0", "made 1", "told 1", "finishes", "made 1", "the end"));
}

// Neither what was before its last word nor that waits for a checkpoint that is due some time.
TEST_F(WhenSafe, IsAtOnceAtTheEndHoweverRareCheckpointsAre) {
  Engine engine{pipeline(), after_checkpoints({"checkpoint.every=24h"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  std::ofstream{file("go")} << "go";
  EXPECT_TRUE(says("made 1"));
  engine.begin_drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(lines_of(log()), ElementsAre("begins 0", "made 1", "told 1", "finishes", "made 1", "the end"));
}

TEST_F(WhenSafe, IsAskedAgainByAReplacement) {
  Engine engine{pipeline(), after_checkpoints()};
  engine.start();
  forbid_checkpoints(engine);
  std::ofstream{file("go")} << "go";
  EXPECT_TRUE(says("made 1"));
  const std::uint32_t life = worker_of(engine, "tell/0").incarnation;
  EXPECT_TRUE(engine.signal_worker("tell/0", SIGKILL));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "tell/0").incarnation != life; }));
  EXPECT_TRUE(checkpoint_fails(engine));
  EXPECT_THAT(lines_of(log()), Not(Contains("begins 1")));
  allow_checkpoints();
  EXPECT_TRUE(says("begins 1"));
  engine.stop();
}

TEST_F(WhenSafe, IsAtOnceForAStageThatIsTakenOut) {
  Engine engine{pipeline(), after_checkpoints({"stage.tell.outside.after=commit"})};
  engine.start();
  forbid_checkpoints(engine);
  std::ofstream{file("go")} << "go";
  EXPECT_TRUE(says("told 1"));
  engine.stop();
}

TEST_F(WhenSafe, OfAnInletIsWhatComesBack) {
  Pipeline echo{"echo"};
  echo.inlet<Item>("in").to<Echo>("echo").outlet("out");
  {
    Engine engine{echo, after_checkpoints()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    forbid_checkpoints(engine);
    const std::uint64_t before = in.safe();
    EXPECT_EQ(in.push({0, 0}), PushResult::accepted);
    EXPECT_TRUE(checkpoint_fails(engine) && checkpoint_fails(engine));
    EXPECT_EQ(in.position(), 1U);
    EXPECT_EQ(in.safe(), before);
    allow_checkpoints();
    EXPECT_TRUE(eventually([&] { return in.safe() == 1; }));
    engine.stop();
  }
  Engine engine{echo, after_checkpoints()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  EXPECT_EQ(in.position(), 1U);
  EXPECT_EQ(in.safe(), 1U);
  engine.stop();
  Engine other{echo, settings()};
  other.start();
  auto at_once = other.inlet<Item>("in");
  EXPECT_EQ(at_once.push({0, 0}), PushResult::accepted);
  EXPECT_EQ(at_once.safe(), 1U);
}

}  // namespace
}  // namespace sluice::test
