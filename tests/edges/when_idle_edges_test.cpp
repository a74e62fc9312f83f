// SPDX-License-Identifier: Apache-2.0
// Worker::when_idle(): what is due by the clock is done where no event comes, and costs none.
#include <stdexcept>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::Contains;
using ::testing::Not;
using ::testing::SizeIs;

class WhenIdle : public WithOutside {
 protected:
  static void push(Inlet<Item>& in, std::uint32_t number) {
    EXPECT_EQ(in.push({0, number}), PushResult::accepted);
  }
};

// Counts its events and, up to two, its idle looks; says what is committed of both.
class Looking {
 public:
  Looking(Worker& worker, const std::string& log)
      : events_{worker.state<std::uint64_t>("events")}, looks_{worker.state<std::uint64_t>("looks")} {
    log_line(log, "begins" + counts());
    worker.before_commit([log](std::span<const Covered> covered) {
      if (covered.empty()) log_line(log, "flush of nothing");
    });
    worker.after_commit([this, log] { log_line(log, "done" + counts()); });
    worker.when_idle([this] {
      if (*events_ == 5 && *looks_ < 2) ++looks_.edit();
    });
  }
  void operator()(const Item&) { ++events_.edit(); }

 private:
  std::string counts() const { return " " + std::to_string(*events_) + " " + std::to_string(*looks_); }
  Recoverable<std::uint64_t> events_;
  Recoverable<std::uint64_t> looks_;
};

TEST_F(WhenIdle, ChangesStateThatIsCommittedThoughNoEventComes) {
  Pipeline pipeline{"looking"};
  pipeline.inlet<Item>("in").to<Looking>("look", {}, log());
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t number = 0; number < 5; ++number)
    push(in, number);
  EXPECT_TRUE(eventually([&] { return !lines_of(log()).empty() && lines_of(log()).back() == "done 5 2"; }));
  EXPECT_THAT(lines_of(log()), Contains("done 5 1"));
  EXPECT_TRUE(eventually([&] { return engine.signal_worker("look/0", SIGKILL); }));
  EXPECT_TRUE(eventually([&] { return lines_of(log()).back() == "begins 5 2"; }));
  push(in, 5);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(lines_of(log()).back(), "done 6 2");
  EXPECT_THAT(lines_of(log()), Not(Contains("flush of nothing")));
}

// Fails a few times when it is idle, in one way or the other.
class FailingIdly {
 public:
  FailingIdly(Worker& worker, const std::string& log, bool away) {
    worker.when_idle([log, away] {
      if (lines_of(log).size() >= 3) return;
      log_line(log, "failed");
      if (away) throw Unavailable{"nobody listens"};
      throw std::runtime_error{"it went wrong"};
    });
  }
  void operator()(const Item& item, Output<Item>& out) { out.push(item); }
};

class WhenIdleFails : public WhenIdle, public testing::WithParamInterface<bool> {};

TEST_P(WhenIdleFails, NoEventIsLostDoneTwiceOrBlamed) {
  Pipeline pipeline{"failing"};
  pipeline.inlet<Item>("in").to<FailingIdly>("fail", {}, log(), GetParam()).outlet("out");
  Engine engine{pipeline, settings({"poison.attempts=1"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t number = 0; number < 100; ++number)
    push(in, number);
  EXPECT_TRUE(eventually([&] { return lines_of(log()).size() == 3; }));
  for (std::uint32_t number = 100; number < 200; ++number)
    push(in, number);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  EXPECT_EQ(out.all(), items(200, 1));
}

INSTANTIATE_TEST_SUITE_P(By, WhenIdleFails, testing::Bool(),
                         [](const auto& away) { return away.param ? "Unavailable" : "AnException"; });

}  // namespace
}  // namespace sluice::test
