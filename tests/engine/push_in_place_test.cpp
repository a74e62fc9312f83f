// SPDX-License-Identifier: Apache-2.0
// An event that a function makes where it is to lie: as a push of the same event, whatever the route and whether there is room.

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "errors.hpp"
#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// More members than a copy of one word, and some that a maker may forget.
struct Wide {
  std::uint32_t number;
  std::uint32_t replica;
  std::array<std::uint64_t, 6> more;
  bool operator==(const Wide&) const = default;
};

// Three of each item, of which the first two are made in their place, if `kInPlace`: lanes are full behind a multiple of three.
template <bool kInPlace>
struct Thrice {
  void operator()(const Item& item, Output<Wide>& out) const {
    const Wide wide{item.number, 0, {item.key, item.number}};
    for (int i = 0; i < 2; ++i) {
      if constexpr (kInPlace) {
        out.push([&](Wide& made) { made = wide; });
      } else {
        out.push(wide);
      }
    }
    out.push(wide);
  }
};

class Marks {
 public:
  explicit Marks(Worker& worker) : replica_{worker.replica()} {}
  void operator()(const Wide& wide, Output<Wide>& out) {
    out.push([&](Wide& made) {
      made = wide;
      made.replica = replica_;
    });
  }

 private:
  std::uint32_t replica_;
};

template <bool kInPlace, class Route>
std::vector<Wide> made_by(Route route, const Settings& settings) {
  Pipeline pipeline{"made"};
  route(pipeline.inlet<Item>("in").to<Thrice<kInPlace>>("thrice"))
      .template to<Marks>("marks", StageOptions{.workers = 3})
      .outlet("out");
  return run_inline(pipeline, items(500, 7), settings).template events<Wide>("out");
}

TEST(PushInPlace, IsAPushOfWhatIsMadeOnEveryRoute) {
  const auto same = [](auto route) {
    for (const Settings& settings : {Settings{}, tiny_lanes()}) {
      const auto copied = made_by<false>(route, settings);
      EXPECT_THAT(copied, testing::SizeIs(testing::Ge(1500U)));
      EXPECT_EQ(made_by<true>(route, settings), copied);
    }
  };
  same([](auto stream) { return stream.round_robin(); });
  same([](auto stream) { return stream.least_loaded(); });
  same([](auto stream) { return stream.broadcast(); });
  same([](auto stream) { return stream.by([](const Wide& wide) { return wide.more[0]; }); });
}

TEST(PushInPlace, GoesToEveryStageBehind) {
  Pipeline pipeline{"several"};
  auto thrice = pipeline.inlet<Item>("in").to<Thrice<true>>("thrice");
  thrice.to<Marks>("left").outlet("left-out");
  thrice.to<Marks>("right").outlet("right-out");
  const InlineRun run = run_inline(pipeline, items(500, 7), tiny_lanes());
  EXPECT_THAT(run.events<Wide>("left-out"), testing::SizeIs(1500U));
  EXPECT_EQ(run.events<Wide>("left-out"), run.events<Wide>("right-out"));
}

// Ten of each item, each made in its place: there is no room for some of them before a consumer has made it.
struct TenTimes {
  void operator()(const Item& item, Output<Wide>& out) const {
    for (std::uint32_t i = 0; i < 10; ++i) {
      std::uint32_t calls = 0;
      out.push([&](Wide& made) {
        made.number = 10 * item.number + i;
        made.more[5] = ++calls;
      });
    }
  }
};

// By processes: a lane that is full is waited for, which the worker's commit in the midst of the event lets its consumer end.
template <class Route>
std::vector<std::vector<std::uint32_t>> made_without_room(Route route) {
  Pipeline pipeline{"tight"};
  route(pipeline.inlet<Item>("in").to<TenTimes>("ten"))
      .template to<Marks>("marks", StageOptions{.workers = 3})
      .outlet("out");
  Settings settings = test_settings();
  settings.set("lane.slots", "4");
  settings.set("lane.bytes", "4096");
  std::vector<std::vector<std::uint32_t>> numbers(3);
  for (const Wide& wide : run_processes<Wide>(pipeline, items(100, 1), settings)) {
    EXPECT_EQ(wide.more, (std::array<std::uint64_t, 6>{0, 0, 0, 0, 0, 1})) << "it is called once";
    numbers.at(wide.replica).push_back(wide.number);
  }
  return numbers;
}

TEST(PushInPlace, WithoutRoomIsACopyIntoTheLaneThatWasChosen) {
  const auto in_turn = made_without_room([](auto stream) { return stream.round_robin(); });
  for (std::uint32_t replica = 0; replica < 3; ++replica) {
    std::vector<std::uint32_t> every_third;
    for (std::uint32_t number = replica; number < 1000; number += 3)
      every_third.push_back(number);
    EXPECT_EQ(in_turn[replica], every_third) << "worker " << replica;
  }
  std::vector<std::uint32_t> all;
  for (const auto& numbers : made_without_room([](auto stream) { return stream.least_loaded(); })) {
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end())) << "a lane keeps its order";
    all.insert(all.end(), numbers.begin(), numbers.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<std::uint32_t> each_once(1000);
  std::iota(each_once.begin(), each_once.end(), 0U);
  EXPECT_EQ(all, each_once);
}

struct Numbered {
  void operator()(const Item& item, Output<Wide>& out) const {
    if (item.number % 2 == 0) {
      out.push(Wide{item.number, 1, {~0U, ~0U, ~0U, ~0U, ~0U, ~0U}});
    } else {
      out.push([&](Wide& made) { made.number = item.number; });
    }
  }
};

TEST(PushInPlace, BeginsWithAnEmptyEventWhateverLayThere) {
  Pipeline pipeline{"empty"};
  pipeline.inlet<Item>("in").to<Numbered>("numbered").outlet("out");
  std::uint32_t odd = 0;
  for (const Wide& wide : run_inline(pipeline, items(2001, 3), tiny_lanes()).events<Wide>("out")) {
    if (wide.number % 2 == 0) continue;
    EXPECT_EQ(wide, (Wide{wide.number, 0, {}}));
    ++odd;
  }
  EXPECT_EQ(odd, 1000U);
}

// What it throws in the midst of making an event it may catch, and go on.
struct ThinksTwice {
  void operator()(const Item& item, Output<Item>& out) const {
    try {
      out.push([&](Item& made) {
        made.number = 1'000'000;
        if (item.number % 2 == 0) throw std::runtime_error{"not this one"};
      });
    } catch (const std::runtime_error&) {
      if (item.number % 4 == 0) out.push(item);
    }
  }
};

TEST(PushInPlace, PushesNothingWhenTheFunctionThrows) {
  Pipeline pipeline{"twice"};
  pipeline.inlet<Item>("in").to<ThinksTwice>("thinks").outlet("out");
  EXPECT_THAT(
      run_inline(pipeline, items(6, 1)).events<Item>("out"),
      ElementsAre(Item{0, 0}, Item{0, 1'000'000}, Item{0, 1'000'000}, Item{0, 4}, Item{0, 1'000'000}));
}

struct PushesWithin {
  void operator()(const Item& item, Output<Item>& out) const {
    out.push([&](Item& made) {
      made = item;
      out.push(Item{7, 7});
    });
  }
};

TEST(PushInPlace, RefusesAPushWithinAPush) {
  Pipeline pipeline{"within"};
  pipeline.inlet<Item>("in").to<PushesWithin>("within").outlet("out");
  EXPECT_THAT(error_of([&] { run_inline(pipeline, items(1, 1)); }),
              AllOf(HasSubstr("push an event to out"), HasSubstr("has pushed another one there"),
                    HasSubstr("push that before, or behind")));
}

}  // namespace
}  // namespace sluice::test
