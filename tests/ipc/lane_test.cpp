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

TEST(Lane, KnowsOfNoMoreThanTheLastLookHasFound) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  push(in, std::uint64_t{1});
  in.publish();
  EXPECT_FALSE(out.knows_more()) << "before the first look";
  EXPECT_EQ(out.readable(), 8U);
  EXPECT_TRUE(out.knows_more());
  push(in, std::uint64_t{2});
  in.publish();
  EXPECT_EQ(out.readable(), 8U) << "what is known comes first";
  out.advance(8);
  EXPECT_FALSE(out.knows_more());
  EXPECT_EQ(out.readable(), 8U);
  EXPECT_TRUE(out.knows_more());
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

TEST(LaneEnd, IsReachedOnceEverythingBeforeItIsConsumed) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  push(in, std::uint64_t{1});
  push(in, std::uint64_t{2});
  in.end();
  in.publish();
  for (const std::uint64_t left : {16U, 8U}) {
    EXPECT_EQ(out.readable(), left);
    EXPECT_FALSE(out.at_end());
    out.advance(8);
  }
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_TRUE(out.at_end());
  EXPECT_FALSE(out.corrupt());
}

TEST(LaneEnd, AndAllElseThatIsUnusualWantsCare) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  push(in, std::uint64_t{1});
  in.publish();
  EXPECT_EQ(out.readable(), 8U);
  EXPECT_FALSE(out.wants_care());
  out.stop_at(0);
  EXPECT_TRUE(out.wants_care());
  out.clear_stop();
  EXPECT_FALSE(out.wants_care());
  const std::atomic<std::uint64_t> released{0};
  EXPECT_TRUE((LaneConsumer{lane.memory(), &released}.wants_care()));
  in.end();
  in.publish();
  EXPECT_EQ(out.readable(), 8U);
  EXPECT_TRUE(out.wants_care());
  out.resume();
  EXPECT_FALSE(out.wants_care()) << "it looks anew";
  out.quarantine();
  EXPECT_TRUE(out.wants_care());
  out.resume();
  EXPECT_TRUE(out.wants_care());
}

TEST(LaneEnd, IsNotSeenBeforeItIsPublished) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  in.end();
  EXPECT_TRUE(in.ends());
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_FALSE(out.at_end());
  EXPECT_FALSE(LaneProducer{lane.memory()}.ends()) << "nor by a successor";
  in.publish();
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_TRUE(out.at_end());
  EXPECT_TRUE(LaneProducer{lane.memory()}.ends());
}

TEST(LaneEnd, ReachesAConsumerThatHasReadEverythingBefore) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  push(in, std::uint64_t{1});
  in.publish();
  std::uint64_t got = 0;
  pop(out, got);
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_FALSE(out.at_end());
  in.end();
  in.publish();
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_TRUE(out.at_end());
}

TEST(LaneEnd, IsSeenAgainByASuccessorOfTheConsumer) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer first{lane.memory()};
  push(in, std::uint64_t{1});
  in.end();
  in.publish();
  std::uint64_t got = 0;
  ASSERT_TRUE(pop(first, got));
  LaneConsumer early{lane.memory()};
  EXPECT_EQ(early.readable(), 8U) << "nothing was published as consumed";
  EXPECT_FALSE(early.at_end());
  first.publish();
  LaneConsumer late{lane.memory()};
  EXPECT_EQ(late.readable(), 0U);
  EXPECT_TRUE(late.at_end());
}

TEST(LaneEnd, LiesBehindAStop) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  push(in, std::uint64_t{1});
  push(in, std::uint64_t{2});
  in.end();
  in.publish();
  out.stop_at(8);
  EXPECT_EQ(out.readable(), 8U);
  out.advance(8);
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_TRUE(out.at_stop());
  EXPECT_FALSE(out.at_end());
  out.clear_stop();
  EXPECT_EQ(out.readable(), 8U);
  out.advance(8);
  EXPECT_EQ(out.readable(), 0U);
  EXPECT_TRUE(out.at_end());
}

}  // namespace
}  // namespace sluice::ipc::test
