// SPDX-License-Identifier: Apache-2.0
// run_inline: a pipeline in one thread, with everything but the processes. What is promised here holds in
// processes as well; engine_test.cpp runs the same pipelines there.

#include <cstring>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "errors.hpp"
#include "pipelines.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(RunInline, HandsEveryEventThroughInOrder) {
  Pipeline pipeline{"line"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  EXPECT_EQ(run_inline(pipeline, items(1000, 7)).events<Item>("out"), items(1000, 7));
}

TEST(RunInline, EndsWithNothingWhenNothingIsPushed) {
  EXPECT_THAT(run_inline(counting_pipeline(2), std::vector<Item>{}).events<Counted>("out"), IsEmpty());
}

TEST(RunInline, CanBeFedAndLookedAtInTurns) {
  InlineRun run{counting_pipeline(2)};
  run.push("in", Item{1, 10});
  run.run();
  EXPECT_THAT(run.events<Counted>("out"), SizeIs(1));
  run.push("in", Item{1, 11});
  run.finish();
  EXPECT_THAT(run.events<Counted>("out"), SizeIs(2));
  EXPECT_EQ(run.stats().stages.front().events_in(), 2U);
}

TEST(RunInline, BroadcastsFarMoreThanTheLanesHold) {
  constexpr std::uint32_t kCount = 20'000;
  Pipeline pipeline{"broadcast"};
  pipeline.source<Numbers>("numbers", kCount)
      .broadcast()
      .to<Echo>("echo", {.workers = 2})
      .to<Sum>("sum")
      .outlet("out");
  EXPECT_THAT(run_inline(pipeline).events<std::uint64_t>("out"),
              ElementsAre(std::uint64_t{kCount} * (kCount - 1)));
}

TEST(RunInline, DoesTheSameEveryTime) {
  const auto once = run_inline(diamond_pipeline(), items(5000, 11), tiny_lanes());
  const auto again = run_inline(diamond_pipeline(), items(5000, 11), tiny_lanes());
  EXPECT_EQ(once.events<Counted>("out"), again.events<Counted>("out"));
}

TEST(RouteByKey, SendsAKeyToOneWorkerInOrder) {
  const auto counted = run_inline(counting_pipeline(4), items(4000, 40)).events<Counted>("out");
  ASSERT_THAT(counted, SizeIs(4000));
  std::map<std::uint32_t, std::vector<Counted>> by_key;
  std::set<std::uint32_t> replicas;
  for (const Counted& each : counted) {
    by_key[each.item.key].push_back(each);
    replicas.insert(each.replica);
  }
  for (const auto& [key, seen] : by_key) {
    for (std::uint32_t nth = 0; nth < seen.size(); ++nth) {
      EXPECT_EQ(seen[nth].replica, seen[0].replica);
      EXPECT_EQ(seen[nth].item, (Item{key, nth * 40 + key}));
      EXPECT_EQ(seen[nth].nth, nth);
    }
  }
  EXPECT_THAT(replicas, SizeIs(4)) << "40 keys leave no worker without one";
}

struct Symbol {
  char text[8];
};

struct Replica {
  explicit Replica(Worker& worker) : replica{worker.replica()} {}
  void operator()(const Symbol&, Output<std::uint32_t>& out) const { out.push(replica); }
  std::uint32_t replica;
};

TEST(RouteByKey, TakesTextThatFillsItsArray) {
  Pipeline pipeline{"symbols"};
  pipeline.inlet<Symbol>("in").by(&Symbol::text).to<Replica>("replica", {.workers = 8}).outlet("out");
  std::vector<Symbol> symbols(16);
  for (Symbol& symbol : symbols)
    std::memcpy(symbol.text, "BTCUSDTX", 8);
  const auto replicas = run_inline(pipeline, symbols).events<std::uint32_t>("out");
  EXPECT_EQ(std::set(replicas.begin(), replicas.end()).size(), 1U);
}

std::map<std::uint32_t, std::uint32_t> shares(const Stream<Item>& stream, const Pipeline& pipeline) {
  stream.to<Count>("count", {.workers = 3}).outlet("out");
  std::map<std::uint32_t, std::uint32_t> shares;
  for (const Counted& each : run_inline(pipeline, items(300, 1)).events<Counted>("out"))
    ++shares[each.replica];
  return shares;
}

TEST(RouteRoundRobin, GivesEveryWorkerTheSame) {
  Pipeline pipeline{"shares"};
  using Pair = std::pair<const std::uint32_t, std::uint32_t>;
  EXPECT_THAT(shares(pipeline.inlet<Item>("in").round_robin(), pipeline),
              ElementsAre(Pair{0, 100}, Pair{1, 100}, Pair{2, 100}));
}

TEST(RouteLeastLoaded, GivesEveryEventToOneWorkerAndLeavesNoneIdle) {
  Pipeline pipeline{"shares"};
  const auto got = shares(pipeline.inlet<Item>("in").least_loaded(), pipeline);
  std::uint32_t sum = 0;
  for (const auto& [replica, share] : got)
    sum += share;
  EXPECT_EQ(sum, 300U);
  EXPECT_THAT(got, SizeIs(3));
}

TEST(RouteBroadcast, GivesEveryWorkerEverything) {
  Pipeline pipeline{"shares"};
  using Pair = std::pair<const std::uint32_t, std::uint32_t>;
  EXPECT_THAT(shares(pipeline.inlet<Item>("in").broadcast(), pipeline),
              ElementsAre(Pair{0, 300}, Pair{1, 300}, Pair{2, 300}));
}

TEST(Streams, OfSeveralOutletsAreBoundByName) {
  Pipeline pipeline{"split"};
  auto [even, odd] = pipeline.inlet<Item>("in").to<Split>("split");
  even.outlet("even");
  odd.outlet("odd");
  const InlineRun run = run_inline(pipeline, items(10, 1));
  EXPECT_THAT(run.events<Item>("even"),
              ElementsAre(Item{0, 0}, Item{0, 2}, Item{0, 4}, Item{0, 6}, Item{0, 8}));
  EXPECT_THAT(run.events<Item>("odd"),
              ElementsAre(Item{0, 1}, Item{0, 3}, Item{0, 5}, Item{0, 7}, Item{0, 9}));
}

TEST(Streams, FanOutToSeveralStagesWhichAllGetEverything) {
  Pipeline pipeline{"fan"};
  const auto in = pipeline.inlet<Item>("in");
  in.to<Echo>("left").outlet("from_left");
  in.to<Echo>("right").outlet("from_right");
  in.outlet("direct");
  const InlineRun run = run_inline(pipeline, items(500, 3), tiny_lanes());
  for (const char* outlet : {"from_left", "from_right", "direct"})
    EXPECT_EQ(run.events<Item>(outlet), items(500, 3)) << outlet;
}

TEST(Streams, MergeIntoOneStage) {
  Pipeline pipeline{"merge"};
  const auto left = pipeline.inlet<Item>("left");
  left.merge(pipeline.inlet<Item>("right")).to<Echo>("echo").outlet("out");
  InlineRun run{pipeline};
  run.push("left", Item{1, 1});
  run.push("right", Item{2, 2});
  run.finish();
  EXPECT_THAT(sorted(run.events<Item>("out")), ElementsAre(Item{1, 1}, Item{2, 2}));
}

TEST(Streams, OfTwoPipelinesDoNotMerge) {
  Pipeline one{"one"};
  Pipeline other{"other"};
  const auto in = one.inlet<Item>("in");
  EXPECT_THAT(error_of([&] { return in.merge(other.inlet<Item>("in")); }),
              AllOf(HasSubstr("one and other"), HasSubstr("within its pipeline")));
}

TEST(Streams, ThatWouldBringAnEventTwiceAreRefused) {
  Pipeline pipeline{"twice"};
  const auto in = pipeline.inlet<Item>("in");
  const auto split = in.to<Split>("split");
  const auto& even = std::get<0>(split);
  const auto& odd = std::get<1>(split);
  EXPECT_THAT(
      error_of([&] { in.merge(in).to<Echo>("echo"); }),
      AllOf(HasSubstr("cannot add the stage 'echo'"), HasSubstr("each event of the inlet 'in' twice")));
  EXPECT_THAT(error_of([&] { even.merge(odd).merge(odd).outlet("out"); }),
              HasSubstr("each event of output 1 of the stage 'split' twice"));
  const auto keyed = in.by(&Item::key);
  for (const auto& again : {in, in.broadcast(), in.least_loaded(), keyed})
    EXPECT_THAT(error_of([&] { keyed.merge(again).to<Echo>("echo"); }), HasSubstr("twice"));
  const auto other = in.by([](const Item& item) { return item.number; });
  EXPECT_THAT(error_of([&] { keyed.merge(other).round_robin().to<Echo>("echo"); }), HasSubstr("twice"))
      << "the keys are no more";
  EXPECT_THAT(error_of([&] { keyed.merge(other).outlet("out"); }), HasSubstr("twice"))
      << "the host has one key";
  // The pipeline is as it was.
  even.merge(odd).to<Echo>("echo").outlet("out");
  EXPECT_EQ(run_inline(pipeline, items(10, 2)).events<Item>("out").size(), 10U);
}

TEST(Streams, GoToTheWorkersOfTwoKeys) {
  Pipeline pipeline{"both"};
  const auto in = pipeline.inlet<Item>("in");
  in.by(&Item::key).merge(in.by([](const Item& item) { return item.number; })).to<Echo>("echo").outlet("out");
  InlineRun run{pipeline};
  run.push("in", Item{1, 2});
  run.finish();
  EXPECT_THAT(run.events<Item>("out"), ElementsAre(Item{1, 2}, Item{1, 2}));
}

TEST(Stages, HaveNamesOfTheirOwn) {
  Pipeline pipeline{"names"};
  const auto in = pipeline.inlet<Item>("in");
  EXPECT_THAT(error_of([&] { in.to<Echo>("in"); }), HasSubstr("the pipeline has one of that name"));
  EXPECT_THAT(error_of([&] { in.to<Echo>("Echo"); }), HasSubstr("a-z"));
  EXPECT_THAT(error_of([&] { in.to<Echo>(""); }), HasSubstr("a-z"));
}

TEST(BackPressure, LetsAFanOutPassThroughLanesManyTimesSmaller) {
  // 4096 bytes, the least, are 512 items.
  const auto out = run_inline(multiplying_pipeline(400), items(50, 5), tiny_lanes()).events<Item>("out");
  ASSERT_THAT(out, SizeIs(20'000));
  for (std::uint32_t i = 0; i < out.size(); ++i)
    ASSERT_EQ(out[i], (Item{i / 400 % 5, i}));
}

TEST(BackPressure, CannotHelpAnEventThatMakesMoreThanItsLaneHolds) {
  InlineRun run{multiplying_pipeline(513), tiny_lanes()};
  EXPECT_THAT(
      error_of([&] {
        run.push("in", Item{0, 0});
        run.finish();
      }),
      AllOf(HasSubstr("one event makes more than a lane of 4KiB holds"), HasSubstr("stage.echo.lane.slots")));
}

TEST(LastWord, IsSaidOnceWhenEverythingIsHandled) {
  Pipeline pipeline{"sum"};
  pipeline.inlet<Item>("in").round_robin().to<Sum>("sum", {.workers = 2}).outlet("out");
  const auto sums = run_inline(pipeline, items(100, 1)).events<std::uint64_t>("out");
  ASSERT_THAT(sums, SizeIs(2));
  EXPECT_EQ(sums[0] + sums[1], 4950U);
}

TEST(LastWord, MayBeLongerThanALaneIfItIsSaidInPortions) {
  Pipeline pipeline{"hoard"};
  pipeline.inlet<Item>("in").to<Hoard>("hoard").outlet("out");
  const auto out = run_inline(pipeline, items(3000, 3), tiny_lanes()).events<Item>("out");
  ASSERT_THAT(out, SizeIs(3000));
  std::set<std::uint32_t> numbers;
  for (const Item& item : out)
    numbers.insert(item.number);
  EXPECT_THAT(numbers, SizeIs(3000));
}

TEST(Sources, AreRunToTheirEnd) {
  Pipeline pipeline{"source"};
  pipeline.source<Numbers>("numbers", {.workers = 3}, 1000U).outlet("out");
  const auto out = sorted(run_inline(pipeline, tiny_lanes()).events<Item>("out"));
  ASSERT_THAT(out, SizeIs(1000));
  std::set<std::uint32_t> numbers;
  for (const Item& item : out)
    numbers.insert(item.number);
  EXPECT_THAT(numbers, SizeIs(1000));
}

struct Never {
  SourceState operator()(Output<Item>&) const { return SourceState::nothing_now; }
};

TEST(Sources, ThatNeverEndAreAnErrorInsteadOfAnEndlessRun) {
  Pipeline pipeline{"source"};
  pipeline.source<Never>("never").outlet("out");
  EXPECT_THAT(error_of([&] { run_inline(pipeline); }), HasSubstr("has not ended"));
}

TEST(State, ThatDoesNotFitIsAnErrorThatNamesTheSetting) {
  Settings settings;
  settings.set("state.bytes", "4KiB");
  EXPECT_THAT(error_of([&] { InlineRun run(counting_pipeline(1), settings); }),
              AllOf(HasSubstr("'seen' of stage count"), HasSubstr("stage.count.state.bytes")));
}

TEST(State, TableThatIsFullIsAnErrorThatNamesTheSettingAndLosesNothing) {
  Settings settings;
  settings.set("stage.count.table.rows", "5");
  InlineRun run{counting_pipeline(1), settings};
  for (const Item& item : items(7, 6))
    run.push("in", item);
  EXPECT_THAT(error_of([&] { run.run(); }),
              AllOf(HasSubstr("'seen' of stage count"), HasSubstr("stage.count.table.rows=10")));
  const StageStats stage = run.stats().stages.front();
  EXPECT_EQ(stage.events_in(), 5U) << "the five before it are committed, and it waits in its lane";
  EXPECT_EQ(stage.events_out(), 5U);
}

struct Scribble {
  using Block = std::array<char, 1000>;
  explicit Scribble(Worker& worker) : blocks{worker.state<std::array<Block, 10>>("blocks")} {}
  void operator()(const Item& item, Output<Item>& out) {
    for (std::uint32_t i = 0; i < item.number; ++i)
      blocks.edit(i, 1).front().fill('x');
    out.push(item);
  }
  Recoverable<std::array<Block, 10>> blocks;
};

TEST(State, ChangesBeyondTheUndoLogAreAnErrorThatNamesTheSettingAndLosesNothing) {
  Settings settings;
  settings.set("undo.bytes", "8KiB");
  Pipeline pipeline{"scribble"};
  pipeline.inlet<Item>("in").to<Scribble>("scribble").outlet("out");
  InlineRun run{pipeline, settings};
  run.push("in", Item{0, 2});
  run.push("in", Item{0, 9});
  EXPECT_THAT(error_of([&] { run.run(); }),
              AllOf(HasSubstr("undo log"), HasSubstr("stage.scribble.undo.bytes=")));
  EXPECT_EQ(run.stats().stages.front().events_in(), 1U);
}

TEST(State, ManySmallChangesSplitTheBatchInsteadOfFillingTheUndoLog) {
  Settings settings;
  settings.set("undo.bytes", "8KiB");
  Pipeline pipeline{"scribble"};
  pipeline.inlet<Item>("in").to<Scribble>("scribble").outlet("out");
  const std::vector<Item> events(500, Item{0, 3});
  EXPECT_THAT(run_inline(pipeline, events, settings).events<Item>("out"), SizeIs(500));
}

struct Picky {
  Picky(Worker& worker, int* throws) : seen{worker.state<std::uint64_t>("seen")}, throws_left{throws} {}
  void operator()(const Item& item, Output<Item>& out) {
    ++seen.edit();
    out.push(item);
    if (item.number == 3 && (*throws_left)-- > 0) throw std::runtime_error{"no threes"};
  }
  void finish(Output<Item>& out) { out.push({0, static_cast<std::uint32_t>(*seen)}); }
  Recoverable<std::uint64_t> seen;
  int* throws_left;
};

TEST(AHandlerThatThrows, ReachesTheCallerAndTakesTheEventBack) {
  Pipeline pipeline{"picky"};
  int throws = 2;
  pipeline.inlet<Item>("in").to<Picky>("picky", &throws).outlet("out");
  InlineRun run{pipeline};
  for (const Item& item : items(5, 1))
    run.push("in", item);
  EXPECT_THROW(run.run(), std::runtime_error);
  EXPECT_THROW(run.run(), std::runtime_error) << "the event is still there";
  EXPECT_THAT(run.events<Item>("out"), ElementsAre(Item{0, 0}, Item{0, 1}, Item{0, 2}));
  EXPECT_EQ(run.stats().stages.front().events_in(), 3U);
  run.finish();
  EXPECT_THAT(run.events<Item>("out"),
              ElementsAre(Item{0, 0}, Item{0, 1}, Item{0, 2}, Item{0, 3}, Item{0, 4}, Item{0, 5}))
      << "the last one is how many it has seen";
}

struct Constant {
  explicit Constant(std::string text) : text{std::move(text)} {}
  void operator()(const Item&, Output<Bytes>& out) const { out.push(text); }
  std::string text;
};

TEST(Handlers, GetTheirArgumentsInEveryWorkerAndNeedNoWorker) {
  Pipeline pipeline{"constant"};
  pipeline.inlet<Item>("in").to<Constant>("constant", {.workers = 2}, std::string{"hello"}).outlet("out");
  EXPECT_THAT(run_inline(pipeline, items(2, 2)).events<Bytes>("out"), ElementsAre("hello", "hello"));
}

struct Complain {
  explicit Complain(Worker& worker) : worker{worker} {}
  void operator()(const Item& item, Output<Item>&) const {
    worker.report("item " + std::to_string(item.number) + std::string(300, '!'));
  }
  Worker& worker;
};

TEST(Problems, AreCountedAndTheFirstSixteenAreKept) {
  Pipeline pipeline{"complain"};
  pipeline.inlet<Item>("in").to<Complain>("complain");
  const Stats stats = run_inline(pipeline, items(20, 1)).stats();
  EXPECT_EQ(stats.problem_count, 20U);
  ASSERT_THAT(stats.problems, SizeIs(16));
  EXPECT_THAT(stats.problems[0], HasSubstr("complain/0: item 0!!!"));
  EXPECT_EQ(stats.problems[0].size(), std::string{"complain/0: "}.size() + 239);
}

TEST(Outlets, OfAnotherNameOrTypeAreRefused) {
  const InlineRun run = run_inline(counting_pipeline(1), items(1, 1));
  EXPECT_THAT(error_of([&] { (void)run.events<Counted>("uot"); }),
              AllOf(HasSubstr("'uot'"), HasSubstr("it has: out")));
  EXPECT_THAT(error_of([&] { (void)run.events<Item>("out"); }), HasSubstr("another type"));
}

}  // namespace
}  // namespace sluice::test
