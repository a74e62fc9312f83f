// SPDX-License-Identifier: Apache-2.0
// A pipeline with a named segment or a checkpoint that is started again with other sizes: larger ones take everything
// along, smaller ones are refused.
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Enlarged : public WithOutside {
 protected:
  Settings sized(std::vector<std::string> assignments) const {
    assignments.insert(assignments.begin(),
                       {kept_, "undo.bytes=16KiB", "state.bytes=64KiB", "lane.slots=512", "lane.bytes=4KiB"});
    return settings(assignments);
  }
  // From here on no file has the memory, and checkpoints are all that is kept.
  void keep_in_checkpoints() { kept_ = "checkpoint.path=" + checkpoints(); }
  std::string checkpoints() const { return file("checkpoints"); }
  std::string segment() const { return file("segment"); }

 private:
  std::string kept_ = "segment.path=" + segment();
};

// Pulls `count` events, then leaves the rest where it is.
template <class T>
std::vector<T> pull_some(Engine& engine, std::size_t count) {
  std::vector<T> pulled;
  auto out = engine.outlet<T>("out");
  EXPECT_TRUE(eventually([&] {
    out.poll([&](const T& event) { pulled.push_back(event); }, count - pulled.size());
    return pulled.size() == count;
  }));
  out.ack();
  return pulled;
}

TEST_F(Enlarged, SegmentKeepsWhatIsInLanesAndState) {
  constexpr std::uint32_t kFirst = 5000;
  constexpr std::uint32_t kLeft = 700;
  Pipeline pipeline{"sizes"};
  pipeline.inlet<Item>("in").to<Count>("count").outlet("out");
  std::vector<Counted> got;
  {
    Engine engine{pipeline, sized({})};
    engine.start();
    auto in = engine.inlet<Item>("in");
    std::thread pusher{[&] {
      for (std::uint32_t n = 0; n < kFirst + kLeft; ++n)
        EXPECT_EQ(in.push({0, n}), PushResult::accepted);
    }};
    got = pull_some<Counted>(engine, kFirst);
    pusher.join();
    engine.stop();
  }
  const auto before = std::filesystem::file_size(segment());
  Engine engine{pipeline, sized({"lane.slots=8K", "undo.bytes=256KiB", "stage.count.state.bytes=1MiB"})};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_GT(std::filesystem::file_size(segment()), before);
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push({0, kFirst + kLeft});
  const std::vector<Counted> rest = pull_some<Counted>(engine, kLeft + 1);
  got.insert(got.end(), rest.begin(), rest.end());
  ASSERT_THAT(got, SizeIs(kFirst + kLeft + 1));
  for (std::uint32_t n = 0; n < got.size(); ++n) {
    ASSERT_EQ(got[n].item.number, n);
    ASSERT_EQ(got[n].nth, n) << "the state counts on";
  }
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
}

TEST_F(Enlarged, LaneOfRecordsKeepsThem) {
  Pipeline pipeline{"records"};
  pipeline.inlet<Bytes>("in").to<EchoBytes>("echo").outlet("out");
  const auto text = [](int n) {
    return std::string(static_cast<std::size_t>(n % 90), 'x') + std::to_string(n);
  };
  {
    Engine engine{pipeline, sized({})};
    engine.start();
    auto in = engine.inlet<Bytes>("in");
    for (int n = 0; n < 60; ++n)
      EXPECT_EQ(in.push(Bytes{text(n)}), PushResult::accepted);
    engine.stop();
  }
  Engine engine{pipeline, sized({"lane.bytes=64KiB"})};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  Collector<Bytes> out{engine, "out"};
  auto in = engine.inlet<Bytes>("in");
  const std::string large(20'000, 'y');
  EXPECT_EQ(in.push(Bytes{large}), PushResult::accepted) << "what did not fit fits";
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  std::vector<std::string> expected;
  expected.reserve(61);
  for (int n = 0; n < 60; ++n)
    expected.push_back(text(n));
  expected.push_back(large);
  EXPECT_EQ(out.all(), expected);
}

TEST_F(Enlarged, IsNoSegmentThatWouldBecomeSmaller) {
  Pipeline pipeline{"sizes"};
  pipeline.inlet<Item>("in").to<Count>("count").outlet("out");
  {
    Engine engine{pipeline, sized({"lane.slots=2K"})};
    engine.start();
    std::ignore = engine.inlet<Item>("in").push({});
    engine.stop();
  }
  const auto refusal = [&](const Settings& with) {
    return error_of([&] {
      Engine engine{pipeline, with};
      engine.start();
    });
  };
  EXPECT_THAT(refusal(sized({"lane.slots=1K"})), AllOf(HasSubstr("16KiB in the file, 8KiB now")));
  EXPECT_THAT(refusal(sized({"lane.slots=8K", "undo.bytes=8KiB"})), HasSubstr("another shape"));
  Engine engine{pipeline, sized({"lane.slots=2K"})};
  engine.start();
  EXPECT_TRUE(engine.resumed()) << "what is refused is left as it was";
  engine.drain();
}

TEST_F(Enlarged, IsNoSegmentThatIsInUse) {
  Pipeline pipeline{"sizes"};
  pipeline.inlet<Item>("in").to<Count>("count").outlet("out");
  Engine first{pipeline, sized({})};
  first.start();
  const std::string refusal = error_of([&] {
    Engine second{pipeline, sized({"lane.slots=8K"})};
    second.start();
  });
  EXPECT_THAT(refusal, HasSubstr("in use by the processes"));
  first.drain();
}

// How often it has seen each number; as many numbers as its table has rows.
template <std::uint64_t kRows>
class Seen {
 public:
  explicit Seen(Worker& worker)
      : before_{worker.state<std::uint64_t>("before")},
        seen_{worker.table<std::uint32_t, std::uint32_t>("seen", kRows)},
        behind_{worker.state<std::uint64_t>("behind")} {}
  void operator()(const Item& item, Output<Item>& out) {
    const std::uint64_t nth = ++before_.edit();
    if (++behind_.edit() != nth) return;
    out.push({++seen_[item.number], item.number});
    // Rows come and go.
    if (item.number % 10 == 9) seen_.erase(item.number);
  }

 private:
  Recoverable<std::uint64_t> before_;
  Table<std::uint32_t, std::uint32_t> seen_;
  Recoverable<std::uint64_t> behind_;
};

class EnlargedTable : public Enlarged {
 protected:
  template <std::uint64_t kRows = 100>
  static Pipeline pipeline() {
    Pipeline pipeline{"tables"};
    pipeline.inlet<Item>("in").to<Seen<kRows>>("seen").outlet("out");
    return pipeline;
  }
  // Hands the numbers up to `count` over; how often each has been seen.
  static std::vector<std::uint32_t> seen(Engine& engine, std::uint32_t count) {
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t n = 0; n < count; ++n)
      EXPECT_EQ(in.push({0, n}), PushResult::accepted);
    std::vector<std::uint32_t> times;
    for (const Item& item : pull_some<Item>(engine, count)) {
      EXPECT_EQ(item.number, times.size());
      times.push_back(item.key);
    }
    return times;
  }
  // A life in which the numbers up to 90 are seen, and which is killed in the midst of further ones.
  void first_life(const std::vector<std::string>& assignments) {
    Engine engine{pipeline(), sized(assignments)};
    engine.start();
    EXPECT_THAT(seen(engine, 90), ::testing::Each(1U));
    engine.stop();
  }
  void expect_the_rest(const std::vector<std::string>& assignments) {
    Engine engine{pipeline(), sized(assignments)};
    engine.start();
    EXPECT_TRUE(engine.resumed());
    const std::vector<std::uint32_t> times = seen(engine, 900);
    for (std::uint32_t n = 0; n < times.size(); ++n)
      ASSERT_EQ(times[n], n < 90 && n % 10 != 9 ? 2U : 1U) << n;
    EXPECT_EQ(engine.stats().dead_letters(), 0U) << "there is a row for each of them";
    engine.drain();
  }
  std::string refusal(const std::vector<std::string>& assignments) {
    return error_of([&] {
      Engine engine{pipeline(), sized(assignments)};
      engine.start();
    });
  }
};

TEST_F(EnlargedTable, KeepsItsRowsAndHasRoomForMore) {
  first_life({"stage.seen.table.rows=100"});
  expect_the_rest({"stage.seen.table.rows=1000", "stage.seen.state.bytes=256KiB"});
}

TEST_F(EnlargedTable, CanBeOneWhoseHandlerSaidItsSize) {
  first_life({});
  expect_the_rest({"stage.seen.table.rows=1000", "lane.slots=2K"});
}

TEST_F(EnlargedTable, IsNoneThatWouldBecomeSmallerOrHaveNoRoom) {
  first_life({});
  EXPECT_THAT(refusal({"stage.seen.table.rows=50"}),
              AllOf(HasSubstr("'seen' of stage seen"), HasSubstr("it has 100 rows, and 50 are asked for")));
  EXPECT_THAT(refusal({"stage.seen.table.rows=100K"}),
              AllOf(HasSubstr("'seen' of stage seen"), HasSubstr("--set stage.seen.state.bytes=4MiB")));
  EXPECT_FALSE(std::filesystem::exists(segment() + ".enlarged"));
  expect_the_rest({"stage.seen.table.rows=100K", "stage.seen.state.bytes=4MiB"});
  EXPECT_FALSE(std::filesystem::exists(segment())) << "it was drained";
}

TEST_F(EnlargedTable, IsNoneWithFewerRowsThanTheSettingSaidBefore) {
  first_life({"stage.seen.table.rows=200"});
  EXPECT_THAT(refusal({"stage.seen.table.rows=150"}), AllOf(HasSubstr("200"), HasSubstr("150")));
  EXPECT_THAT(refusal({}), AllOf(HasSubstr("200"), HasSubstr("auto")));
  expect_the_rest({"stage.seen.table.rows=1000"});
}

// The size that a handler asks for is not known before it lives: the error says how it can have it.
TEST_F(EnlargedTable, OfAHandlerThatAsksForMoreIsAdvisedTheSettingThatDoesIt) {
  first_life({});
  const std::string refusal = error_of([&] {
    Pipeline changed{"tables"};
    changed.inlet<Item>("in").to<Seen<1000>>("seen").outlet("out");
    Engine engine{changed, sized({})};
    engine.start();
    engine.wait_for(kDeadline);
  });
  EXPECT_THAT(refusal, AllOf(HasSubstr("made with 100 rows and is asked for with 1000"),
                             HasSubstr("--set stage.seen.table.rows=1000")));
  expect_the_rest({"stage.seen.table.rows=1000"});
}

// A start that died while it made the larger file has left that one behind, and the old one whole.
TEST_F(Enlarged, IsASegmentWhoseLastEnlargementDiedInItsMidst) {
  Pipeline pipeline{"sizes"};
  pipeline.inlet<Item>("in").to<Count>("count").outlet("out");
  {
    Engine engine{pipeline, sized({})};
    engine.start();
    std::ignore = engine.inlet<Item>("in").push({});
    engine.stop();
  }
  { std::ofstream{segment() + ".enlarged"} << "half of it"; }
  Engine engine{pipeline, sized({"lane.slots=8K"})};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_FALSE(std::filesystem::exists(segment() + ".enlarged"));
  EXPECT_THAT(pull_some<Counted>(engine, 1), SizeIs(1));
  engine.drain();
}

class EnlargedCheckpoint : public EnlargedTable {
 protected:
  EnlargedCheckpoint() { keep_in_checkpoints(); }

  // The numbers below `count` have been asked of its table, and 700 more wait for the next life.
  static constexpr std::uint32_t kLeft = 700;
  void park_with(std::uint32_t count, const std::vector<std::string>& assignments = {}) const {
    Engine engine{pipeline(), sized(assignments)};
    engine.start();
    EXPECT_THAT(seen(engine, count), ::testing::Each(1U));
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t n = 0; n < kLeft; ++n)
      ASSERT_EQ(in.push({0, 9}), PushResult::accepted);
    engine.park();
  }
  // Takes what was left, then asks for the first `count` again.
  void expect_all(Engine& engine, std::uint32_t count) const {
    engine.start();
    ASSERT_TRUE(engine.resumed());
    EXPECT_THAT(pull_some<Item>(engine, kLeft), SizeIs(kLeft));
    EXPECT_THAT(seen(engine, count), ::testing::Each(2U));
  }
};

TEST_F(EnlargedCheckpoint, KeepsWhatIsInLanesAndStateAndIsFollowedByOthers) {
  constexpr std::uint32_t kFirst = 9;
  const std::vector<std::string> larger{"lane.slots=8K", "undo.bytes=256KiB", "stage.seen.state.bytes=1MiB",
                                        "stage.seen.table.rows=4000"};
  park_with(kFirst);
  {
    Engine engine{pipeline(), sized(larger)};
    expect_all(engine, kFirst);
    engine.park();
  }
  Engine engine{pipeline(), sized(larger)};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_THAT(seen(engine, kFirst), ::testing::Each(3U))
      << "the one that is behind it is of the larger sizes";
  engine.drain();
}

TEST_F(EnlargedCheckpoint, CanBeRestoredAheadOfTheStart) {
  park_with(9);
  Engine engine{pipeline(), sized({"lane.slots=2K", "stage.seen.table.rows=1000"})};
  EXPECT_TRUE(engine.restore_ahead());
  EXPECT_TRUE(engine.restore_ahead()) << "it comes anew each time";
  expect_all(engine, 9);
  engine.drain();
}

// The size that a handler asks for is not known before it lives: the error says how it can have it, or do without.
TEST_F(EnlargedCheckpoint, OfAHandlerThatAsksForOtherRowsIsAdvisedASettingThatDoesIt) {
  const auto refusal_of = [&](Pipeline changed) {
    return error_of([&] {
      Engine engine{changed, sized({})};
      engine.start();
      engine.wait_for(kDeadline);
    });
  };
  const auto resumes_with = [&]<std::uint64_t kRows>(const std::string& advised) {
    const std::string why = refusal_of(pipeline<kRows>());
    EXPECT_THAT(why, HasSubstr("--set " + advised));
    Engine engine{pipeline<kRows>(), sized({advised})};
    expect_all(engine, 9);
    engine.drain();
  };
  park_with(9);
  resumes_with.operator()<1000>("stage.seen.table.rows=1000");
  park_with(9);
  resumes_with.operator()<50>("stage.seen.table.rows=100");
}

TEST_F(EnlargedCheckpoint, IsNoneThatWouldBecomeSmallerAndIsLeftAsItWas) {
  park_with(9, {"lane.slots=2K"});
  EXPECT_THAT(refusal({"lane.slots=1K"}), HasSubstr("another shape"));
  EXPECT_THAT(refusal({"lane.slots=4K", "undo.bytes=8KiB"}), HasSubstr("another shape"));
  EXPECT_THAT(refusal({"lane.slots=2K", "stage.seen.table.rows=50"}),
              HasSubstr("it has 100 rows, and 50 are asked for"));
  EXPECT_THAT(refusal({"lane.slots=2K", "stage.seen.table.rows=100K"}),
              HasSubstr("--set stage.seen.state.bytes=4MiB"));
  Engine engine{pipeline(),
                sized({"lane.slots=2K", "stage.seen.table.rows=100K", "stage.seen.state.bytes=4MiB"})};
  expect_all(engine, 9);
  engine.drain();
}

}  // namespace
}  // namespace sluice::test
