// SPDX-License-Identifier: Apache-2.0
// Handlers that take many events at once, and outputs and inlets that are given many: they do what one by one does, in the
// same order, through the same lanes.

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::ElementsAreArray;
using testing::SizeIs;

// Hands its span on as it is.
struct EchoMany {
  void operator()(std::span<const Item> items, Output<Item>& out) const { out.push(items); }
};

class CountMany {
 public:
  explicit CountMany(Worker& worker) : one_{worker} {}
  void operator()(std::span<const Item> items, Output<Counted>& out) {
    for (const Item& item : items)
      one_(item, out);
  }

 private:
  Count one_;
};

class SpanHandler : public WithProcesses {
 protected:
  // The same through handlers of either kind, in this thread and in processes.
  template <class Make>
  void expect_same(const Make& make, const std::vector<std::string>& assignments = {}) {
    Settings settings = test_settings();
    for (const std::string& assignment : assignments)
      settings.set_assignment(assignment);
    const std::vector<Item> sent = items(5000, 7);
    const auto sorted = [](std::vector<Counted> events) {
      std::sort(events.begin(), events.end());
      return events;
    };
    const auto inline_events = [&](bool many) {
      return sorted(run_inline(make(many), sent, settings).template events<Counted>("out"));
    };
    const std::vector<Counted> one = inline_events(false);
    EXPECT_EQ(inline_events(true), one);
    EXPECT_EQ(sorted(run_processes<Counted>(make(true), sent, settings)), one);
  }
};

Pipeline chain(bool many) {
  Pipeline pipeline{"chain"};
  const auto in = pipeline.inlet<Item>("in");
  const auto echoed = many ? in.to<EchoMany>("echo") : in.to<Echo>("echo");
  (many ? echoed.to<CountMany>("count") : echoed.to<Count>("count")).outlet("out");
  return pipeline;
}

TEST_F(SpanHandler, DoesWhatOneByOneDoes) {
  expect_same(chain);
}

TEST_F(SpanHandler, DoesSoBehindLanesOfTwoEventsAndInBatchesOfAnySize) {
  expect_same(chain, {"lane.slots=2"});
  expect_same(chain, {"batch.events=1"});
  expect_same(chain, {"batch.events=1000", "lane.slots=256"});
}

TEST_F(SpanHandler, DealsInTurn) {
  expect_same([](bool many) {
    Pipeline pipeline{"dealt"};
    const auto in = pipeline.inlet<Item>("in");
    const auto echoed = many ? in.to<EchoMany>("echo") : in.to<Echo>("echo");
    echoed.to<Count>("count", {.workers = 3}).outlet("out");
    return pipeline;
  });
}

TEST_F(SpanHandler, SortsByKeyAndGivesToAll) {
  const auto routed = [](auto route) {
    return [route](bool many) {
      Pipeline pipeline{"routed"};
      const auto in = pipeline.inlet<Item>("in");
      const auto echoed = many ? in.to<EchoMany>("echo") : in.to<Echo>("echo");
      const auto stream = route(echoed);
      (many ? stream.template to<CountMany>("count", {.workers = 2})
            : stream.template to<Count>("count", {.workers = 2}))
          .outlet("out");
      return pipeline;
    };
  };
  expect_same(routed([](const Stream<Item>& stream) { return stream.by(&Item::key); }));
  expect_same(routed([](const Stream<Item>& stream) { return stream.broadcast(); }));
}

TEST_F(SpanHandler, IsGivenAllThatIsThereInOrder) {
  struct Lengths {
    void operator()(std::span<const Item> items, Output<std::uint64_t>& out) const { out.push(items.size()); }
  };
  Pipeline pipeline{"lengths"};
  pipeline.inlet<Item>("in").to<Lengths>("lengths").outlet("out");
  Settings settings;
  settings.set("batch.events", "100");
  InlineRun run{pipeline, settings};
  for (const Item& item : items(250, 1))
    run.push("in", item);
  run.finish();
  EXPECT_THAT(run.events<std::uint64_t>("out"), ElementsAreArray({100U, 100U, 50U}));
}

TEST_F(SpanHandler, ThatThrowsInThisThreadLeavesWhatCameBeforeItsSpan) {
  struct Chokes {
    void operator()(std::span<const Item> items, Output<Item>& out) const {
      out.push(items);
      if (items.back().number >= 150) throw std::runtime_error{"enough"};
    }
  };
  Pipeline pipeline{"chokes"};
  pipeline.inlet<Item>("in").to<Chokes>("chokes").outlet("out");
  Settings settings;
  settings.set("batch.events", "100");
  InlineRun run{pipeline, settings};
  for (const Item& item : items(250, 1))
    run.push("in", item);
  EXPECT_THROW(run.run(), std::runtime_error);
  EXPECT_THAT(run.events<Item>("out"), ElementsAreArray(items(100, 1)));
}

TEST_F(SpanHandler, MayHandOnArraysAndVectorsAndNothing) {
  struct Shapes {
    void operator()(const Item& item, Output<Item>& out) const {
      out.push(std::array<Item, 2>{item, item});
      out.push(std::vector<Item>(3, item));
      out.push(std::span<const Item>{});
    }
  };
  Pipeline pipeline{"shapes"};
  pipeline.inlet<Item>("in").to<Shapes>("shapes").outlet("out");
  EXPECT_THAT(run_inline(pipeline, items(4, 1)).events<Item>("out"), SizeIs(20));
}

TEST_F(SpanHandler, OfAnInletBatchKeepsTheOrderThroughSeveralLanes) {
  Pipeline pipeline{"inlet"};
  pipeline.inlet<Item>("in").to<CountMany>("count", {.workers = 2}).outlet("out");
  Engine engine{pipeline, test_settings()};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  const std::vector<Item> sent = items(3000, 1000);
  for (std::size_t at = 0; at < sent.size(); at += 125)
    ASSERT_EQ(in.push_batch(std::span{sent}.subspan(at, 125)), PushResult::accepted);
  EXPECT_EQ(in.position(), sent.size());
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  std::array<std::vector<std::uint32_t>, 2> numbers;
  for (const Counted& counted : out.all())
    numbers.at(counted.replica).push_back(counted.item.number);
  for (std::uint32_t replica = 0; replica < 2; ++replica) {
    std::vector<std::uint32_t> expected;
    for (std::uint32_t number = replica; number < sent.size(); number += 2)
      expected.push_back(number);
    EXPECT_THAT(numbers.at(replica), ElementsAreArray(expected));
  }
}

}  // namespace
}  // namespace sluice::test
