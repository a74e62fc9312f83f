// SPDX-License-Identifier: Apache-2.0
// What a lane of fixed-size events promises its two honest ends, in one process.
#include <deque>

#include <gtest/gtest.h>

#include <sluice/ipc/lane.hpp>

#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

struct Odd {  // 24 bytes do not divide a page: some of these cross the ring's end.
  std::uint64_t words[3];
  bool operator==(const Odd&) const = default;
};

TEST(Lane, DeliversEventsInOrder) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  for (std::uint64_t i = 0; i < 100; ++i)
    ASSERT_TRUE(push(in, i));
  in.publish();
  EXPECT_EQ(out.readable(), 800U);
  for (std::uint64_t i = 0; i < 100; ++i) {
    std::uint64_t got = 0;
    ASSERT_TRUE(pop(out, got));
    ASSERT_EQ(got, i);
  }
  EXPECT_EQ(out.readable(), 0U);
}

TEST(Lane, ShowsNothingBeforeItIsPublished) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  EXPECT_EQ(out.readable(), 0U);
  push(in, std::uint64_t{1});
  EXPECT_EQ(out.readable(), 0U);
  in.publish();
  EXPECT_EQ(out.readable(), 8U);
}

TEST(Lane, ShowsWhoWatchesItTheSameAsWhoReadsIt) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer reader{lane.memory()};
  LaneConsumer watcher{lane.memory()};
  for (std::uint64_t step = 0; step < 10'000; ++step) {
    for (std::uint64_t count = below(random, 4); count > 0; --count)
      push(in, step);
    in.publish();
    ASSERT_EQ(watcher.watch(8), reader.readable());
    for (std::uint64_t count = below(random, 4); count > 0 && reader.readable() != 0; --count) {
      ASSERT_EQ(watcher.watch(8), reader.readable());
      reader.advance(8);
      watcher.advance(8);
    }
    reader.publish();
  }
  lane.set_tail(~std::uint64_t{0} / 2);
  while (watcher.watch(8) != 0)
    watcher.advance(watcher.watch(8));
  EXPECT_TRUE(watcher.corrupt());
}

TEST(Lane, HoldsExactlyItsCapacityAndNotOneByteMore) {
  const TestLane lane{4096};
  LaneProducer in{lane.memory()};
  EXPECT_EQ(in.reserve(4097), nullptr);
  for (std::uint64_t i = 0; i < 512; ++i)
    ASSERT_TRUE(push(in, i));
  EXPECT_FALSE(push(in, std::uint64_t{0}));
  EXPECT_EQ(in.reserve(1), nullptr);
  EXPECT_NE(in.reserve(0), nullptr);
  EXPECT_EQ(in.fill_bytes(), 4096U);
  EXPECT_FALSE(in.corrupt());
}

TEST(Lane, HasRoomAgainOnceTheConsumerHasPublished) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  while (push(in, std::uint64_t{7})) {
  }
  in.publish();
  std::uint64_t got = 0;
  ASSERT_TRUE(pop(out, got));
  EXPECT_EQ(in.reserve(8), nullptr) << "consumed, but not published";
  out.publish();
  EXPECT_NE(in.reserve(8), nullptr);
  EXPECT_EQ(in.reserve(9), nullptr);
  EXPECT_EQ(in.fill_bytes(), 4088U);
}

TEST(Lane, TakesAnEventThatFillsIt) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  using Whole = std::array<std::byte, 4096>;
  for (int round = 1; round <= 3; ++round) {
    Whole sent;
    sent.fill(static_cast<std::byte>(round));
    ASSERT_TRUE(push(in, sent));
    in.publish();
    Whole got{};
    ASSERT_TRUE(pop(out, got));
    ASSERT_EQ(got, sent);
    out.publish();
  }
}

TEST(Lane, GivesBackToTheProducerWhatWasNotPublished) {
  const TestLane lane;
  LaneProducer first{lane.memory()};
  push(first, std::uint64_t{1});
  first.publish();
  push(first, std::uint64_t{2});
  LaneProducer second{lane.memory()};
  EXPECT_EQ(second.next(), 8U) << "a successor takes up at the published tail";
  push(second, std::uint64_t{3});
  second.publish();
  LaneConsumer out{lane.memory()};
  std::uint64_t got = 0;
  ASSERT_TRUE(pop(out, got));
  EXPECT_EQ(got, 1U);
  ASSERT_TRUE(pop(out, got));
  EXPECT_EQ(got, 3U);
}

TEST(Lane, ShowsASuccessorOfTheConsumerWhatWasNotPublishedAsConsumed) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  push(in, std::uint64_t{1});
  push(in, std::uint64_t{2});
  in.publish();
  std::uint64_t got = 0;
  LaneConsumer first{lane.memory()};
  pop(first, got);
  first.publish();
  pop(first, got);
  LaneConsumer second{lane.memory()};
  ASSERT_TRUE(pop(second, got));
  EXPECT_EQ(got, 2U);
}

TEST(Lane, CarriesStridesThatDoNotDivideItAroundItsEnd) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  while (popped < 4096) {  // Every offset at which 24 bytes can meet the end of 4096.
    while (push(in, Odd{{pushed, ~pushed, pushed * 3}}))
      ++pushed;
    in.publish();
    EXPECT_EQ(pushed - popped, 170U);
    Odd got{};
    while (pop(out, got)) {
      ASSERT_EQ(got, (Odd{{popped, ~popped, popped * 3}}));
      ++popped;
    }
    out.publish();
  }
}

TEST(Lane, BehavesLikeAQueueUnderRandomSteps) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  std::deque<Odd> model;  // Published, not consumed.
  std::deque<Odd> unpublished;
  std::uint64_t occupied = 0;  // Until the consumer publishes.
  for (std::uint64_t step = 0; step < 200'000; ++step) {
    const std::uint64_t choice = below(random, 100);
    if (choice < 50) {
      const Odd odd{{step, random(), choice}};
      const bool room = occupied + sizeof(Odd) <= 4096;
      ASSERT_EQ(push(in, odd), room);
      if (room) unpublished.push_back(odd);
      if (room) occupied += sizeof(Odd);
    } else if (choice < 90) {
      Odd got{};
      ASSERT_EQ(pop(out, got), !model.empty());
      if (model.empty()) continue;
      ASSERT_EQ(got, model.front());
      model.pop_front();
    } else if (choice < 95) {
      in.publish();
      model.insert(model.end(), unpublished.begin(), unpublished.end());
      unpublished.clear();
    } else {
      out.publish();
      occupied = (model.size() + unpublished.size()) * sizeof(Odd);
    }
  }
}

TEST(LaneEvents, CanBeTakenBackUntilTheyArePublished) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  in.enter_event(1);
  push(in, std::uint64_t{10});
  in.enter_event(2);
  EXPECT_EQ(in.before(2), 8U);
  push(in, std::uint64_t{20});
  in.enter_event(2);  // Entered once for each push: the boundary stays.
  push(in, std::uint64_t{21});
  EXPECT_EQ(in.before(2), 8U);
  EXPECT_EQ(in.before(3), 24U) << "an event that has pushed nothing begins here";
  in.take_back(2);
  EXPECT_EQ(in.next(), 8U);
  in.take_back(2);
  EXPECT_EQ(in.next(), 8U);
  in.publish();
  LaneConsumer out{lane.memory()};
  EXPECT_EQ(out.readable(), 8U);
}

TEST(LaneEvents, ThatPushedNothingTakeNothingBack) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  in.enter_event(1);
  push(in, std::uint64_t{10});
  in.take_back(2);
  EXPECT_EQ(in.next(), 8U);
}

TEST(LaneMarks, StandWhereTheyWerePushed) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  push(in, std::uint64_t{1});
  ASSERT_TRUE(in.push_mark(MarkKind::end_of_stream, 42));
  push(in, std::uint64_t{2});
  in.publish();

  EXPECT_EQ(out.readable(), 8U) << "the mark ends what can be read at once";
  EXPECT_EQ(out.mark(), nullptr) << "it does not stand here yet";
  out.advance(8);
  EXPECT_EQ(out.readable(), 0U) << "nobody passes a mark unseen";
  const Mark* mark = out.mark();
  ASSERT_NE(mark, nullptr);
  EXPECT_EQ(mark->kind, MarkKind::end_of_stream);
  EXPECT_EQ(mark->value, 42U);
  EXPECT_EQ(mark->position, 8U);
  out.pass_mark();
  EXPECT_EQ(out.mark(), nullptr);
  EXPECT_EQ(out.readable(), 8U);
}

TEST(LaneMarks, ReachAConsumerThatHasReadEverythingBefore) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  push(in, std::uint64_t{1});
  in.publish();
  std::uint64_t got = 0;
  pop(out, got);
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_EQ(out.mark(), nullptr);
  in.push_mark(MarkKind::end_of_stream, 0);
  in.publish();
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_NE(out.mark(), nullptr);
}

TEST(LaneMarks, ThatStandTogetherArePassedOneByOne) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  for (std::uint64_t value = 0; value < 3; ++value)
    in.push_mark(MarkKind::end_of_stream, value);
  in.publish();
  for (std::uint64_t value = 0; value < 3; ++value) {
    EXPECT_EQ(out.readable(), 0U);
    ASSERT_NE(out.mark(), nullptr);
    EXPECT_EQ(out.mark()->value, value);
    out.pass_mark();
  }
  EXPECT_EQ(out.mark(), nullptr);
}

TEST(LaneMarks, AreRefusedWhenEightWaitAndTakenAgainOncePassedAndPublished) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  for (std::uint64_t i = 0; i < kMarksPerLane; ++i)
    ASSERT_TRUE(in.push_mark(MarkKind::end_of_stream, i));
  EXPECT_FALSE(in.push_mark(MarkKind::end_of_stream, 8));
  in.publish();
  EXPECT_EQ(out.readable(), 0U);
  out.pass_mark();
  EXPECT_FALSE(in.push_mark(MarkKind::end_of_stream, 8));
  out.publish();
  EXPECT_TRUE(in.push_mark(MarkKind::end_of_stream, 8));
}

TEST(LaneMarks, KeepTheirPlacesUnderRandomSteps) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  std::deque<Mark> expected;
  std::uint64_t passed = 0;
  for (std::uint64_t step = 0; step < 200'000; ++step) {
    const std::uint64_t choice = below(random, 10);
    if (choice < 4) {
      push(in, step);
    } else if (choice < 5) {
      if (in.push_mark(MarkKind::end_of_stream, step)) expected.push_back({in.next(), step, {}, 0});
    } else if (choice < 6) {
      in.publish();
    } else if (choice < 7) {
      out.publish();
    } else if ((step % 2 == 0 ? out.readable() : out.watch(8)) != 0) {
      ASSERT_TRUE(expected.empty() || out.next() < expected.front().position);
      out.advance(8);
    } else if (const Mark* mark = out.mark(); mark != nullptr) {
      ASSERT_EQ(mark->value, expected.front().value);
      ASSERT_EQ(out.next(), expected.front().position);
      expected.pop_front();
      out.pass_mark();
      ++passed;
    }
  }
  EXPECT_GT(passed, 100U);
  EXPECT_FALSE(in.corrupt() || out.corrupt());
}

}  // namespace
}  // namespace sluice::ipc::test
