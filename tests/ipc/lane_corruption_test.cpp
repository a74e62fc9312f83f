// SPDX-License-Identifier: Apache-2.0
// A peer that writes nonsense: it is found out, and never makes this side touch what is not its own.
//
// Where a claim is about staying inside the ring, the test adds up what an end would touch and compares it
// with the lane, or reads it all, so that a stray access is a fault.
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include <sluice/ipc/framing.hpp>
#include <sluice/ipc/lane.hpp>

#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

// Both ends of a lane that is in use, with 40 of 64 events consumed.
struct Used {
  Used() {
    for (std::uint64_t i = 0; i < 64; ++i)
      push(in, i);
    in.publish();
    std::uint64_t got = 0;
    for (int i = 0; i < 40; ++i)
      pop(out, got);
    out.publish();
  }
  // What the consumer takes next looks at the peer's words again.
  void empty() {
    std::uint64_t got = 0;
    while (pop(out, got)) {
    }
  }
  // What the producer pushes next looks at the peer's words again.
  void fill() {
    while (push(in, std::uint64_t{1})) {
    }
  }

  TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
};

TEST(CorruptLane, HasATailBeyondItsCapacity) {
  Used used;
  used.empty();
  used.out.publish();
  used.lane.set_tail(used.out.next() + 4096);
  EXPECT_EQ(used.out.readable(), 4096U);
  EXPECT_FALSE(used.out.corrupt()) << "it is full";
  Used beyond;
  beyond.empty();
  beyond.out.publish();
  beyond.lane.set_tail(beyond.out.next() + 4096 + 1);
  EXPECT_EQ(beyond.out.readable(), 0U);
  EXPECT_TRUE(beyond.out.corrupt());
}

TEST(CorruptLane, HasATailInRoomThatWasNotGivenBackYet) {
  Used used;
  used.empty();  // 24 events are read, and their head is not published: nobody may have written over them.
  used.lane.set_tail(40 * 8 + 4096 + 8);
  EXPECT_EQ(used.out.readable(), 0U);
  EXPECT_TRUE(used.out.corrupt());
}

TEST(CorruptLane, HasATailBehindWhatWasConsumed) {
  Used used;
  used.empty();
  used.lane.set_tail(used.out.next() - 8);
  EXPECT_EQ(used.out.readable(), 0U);
  EXPECT_TRUE(used.out.corrupt());
}

TEST(CorruptLane, HasAHeadAheadOfWhatWasProduced) {
  Used used;
  used.fill();
  used.lane.set_head(used.in.next() + 8);
  EXPECT_FALSE(push(used.in, std::uint64_t{0}));
  EXPECT_TRUE(used.in.corrupt());
}

TEST(CorruptLane, HasAHeadThatFellBehindByMoreThanItsCapacity) {
  Used used;
  used.fill();
  used.lane.set_head(used.in.next() - 4097);
  EXPECT_FALSE(push(used.in, std::uint64_t{0}));
  EXPECT_TRUE(used.in.corrupt());
}

TEST(CorruptLane, HasAHeadBeyondWhatIsPublished) {
  Used used;
  used.fill();
  used.lane.set_head(used.in.next() - 8);  // Pushed, but not published: nobody can have consumed it.
  EXPECT_FALSE(push(used.in, std::uint64_t{0}));
  EXPECT_TRUE(used.in.corrupt());
}

TEST(CorruptLane, HasAHeadThatGoesBack) {
  Used used;
  used.fill();
  used.in.publish();
  used.lane.set_head(used.out.next() - 8);
  EXPECT_FALSE(push(used.in, std::uint64_t{0}));
  EXPECT_TRUE(used.in.corrupt());
}

TEST(CorruptLane, HasAnEndThatIsNeitherYesNorNo) {
  for (const std::uint64_t word : {std::uint64_t{2}, std::uint64_t{77}, kMost}) {
    Used used;
    used.empty();
    used.lane.set_ended(word);
    EXPECT_EQ(used.out.readable(), 0U);
    EXPECT_TRUE(used.out.corrupt()) << word;
    EXPECT_FALSE(used.out.at_end()) << word;
  }
}

TEST(CorruptLane, GoesOnBehindItsEnd) {
  Used used;
  used.in.end();
  used.in.publish();
  used.empty();
  ASSERT_TRUE(used.out.at_end());
  used.lane.set_tail(used.out.next() + 8);
  EXPECT_EQ(used.out.readable(), 0U);
  EXPECT_TRUE(used.out.corrupt());
}

TEST(CorruptLane, TakesItsEndBack) {
  Used used;
  used.in.end();
  used.in.publish();
  used.empty();
  ASSERT_TRUE(used.out.at_end());
  used.lane.set_ended(kGoesOn);
  EXPECT_EQ(used.out.readable(), 0U);
  EXPECT_TRUE(used.out.corrupt());
}

TEST(CorruptLane, StaysFoundOutByItsProducerWhateverThePeerSaysNext) {
  Used used;
  used.lane.set_head(kMost);
  used.fill();
  ASSERT_TRUE(used.in.corrupt());
  used.lane.set_head(used.in.next());
  static_cast<void>(used.in.reserve(1));
  EXPECT_TRUE(used.in.corrupt());
}

TEST(CorruptLane, StaysEmptyForItsConsumerWhateverThePeerSaysNext) {
  Used used;
  used.empty();
  used.lane.set_tail(kMost);
  ASSERT_EQ(used.out.readable(), 0U);
  used.lane.set_tail(used.out.next() + 8);
  EXPECT_EQ(used.out.readable(), 0U);
  EXPECT_EQ(peek_record(used.out).data(), nullptr);
}

TEST(CorruptLane, NeverShowsItsConsumerMoreThanTheRingWhicheverBitFlips) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const bool ended : {false, true}) {
      Used used;
      used.empty();
      LaneMemory memory = used.lane.memory();
      auto& word = ended ? memory.producer->ended : memory.producer->tail;
      word.fetch_xor(std::uint64_t{1} << bit);
      const std::uint64_t readable = used.out.readable();
      ASSERT_LE(readable, 4096U) << bit;
      ASSERT_TRUE(used.out.corrupt() || readable == 0 || !ended) << bit;
      const std::byte* at = used.out.data();
      std::accumulate(at, at + readable, 0U, [](unsigned sum, std::byte b) { return sum + unsigned(b); });
    }
  }
}

TEST(CorruptLane, NeverGivesItsProducerMoreThanTheRingWhicheverBitFlips) {
  for (int bit = 0; bit < 64; ++bit) {
    Used used;
    used.fill();
    used.lane.memory().consumer->head.fetch_xor(std::uint64_t{1} << bit);
    std::uint64_t pushed = 0;
    while (pushed <= 512 && push(used.in, std::uint64_t{1}))
      ++pushed;
    ASSERT_LE(pushed, 512U) << bit;
  }
}

// One record whose length word has been replaced; what a consumer sees of it.
std::span<const std::byte> peek_with_length(const TestLane& lane, LaneConsumer& out, std::uint64_t length) {
  LaneProducer in{lane.memory()};
  push_record(in, std::string(100, 'x'));
  in.publish();
  std::memcpy(lane.memory().ring, &length, sizeof(length));
  return peek_record(out);
}

TEST(CorruptRecord, HasALengthBeyondWhatIsPublished) {
  for (const std::uint64_t length : {std::uint64_t{105}, std::uint64_t{4096}, kMost, kMost - 7, kMost - 8}) {
    const TestLane lane;
    LaneConsumer out{lane.memory()};
    EXPECT_EQ(peek_with_length(lane, out, length).data(), nullptr) << length;
    EXPECT_TRUE(out.corrupt());
    EXPECT_EQ(out.readable(), 0U) << "the lane is quarantined";
  }
}

TEST(CorruptRecord, NeverReachesBeyondWhatIsPublishedWhicheverBitFlips) {
  for (int bit = 0; bit < 64; ++bit) {
    const TestLane lane;
    LaneConsumer out{lane.memory()};
    const std::span<const std::byte> seen = peek_with_length(lane, out, 100 ^ (std::uint64_t{1} << bit));
    ASSERT_EQ(seen.data() == nullptr, out.corrupt()) << bit;
    ASSERT_LE(seen.size(), 104U) << bit;
    out.advance(out.corrupt() ? 0 : record_stride(seen.size()));
    ASSERT_LE(out.next(), 112U) << bit;
  }
}

TEST(CorruptRecord, BeginsWhereNoneCan) {
  const TestLane lane;
  lane.set_head(4);
  lane.set_tail(64);
  LaneConsumer out{lane.memory()};
  EXPECT_EQ(peek_record(out).data(), nullptr);
  EXPECT_TRUE(out.corrupt());
}

TEST(CorruptRecord, IsShorterThanItsLengthWord) {
  const TestLane lane;
  lane.set_tail(4);
  LaneConsumer out{lane.memory()};
  EXPECT_EQ(peek_record(out).data(), nullptr);
  EXPECT_TRUE(out.corrupt());
}

TEST(CorruptRecord, NeverLeadsOutOfTheRingThroughARandomLane) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  for (int round = 0; round < 2'000; ++round) {
    const TestLane lane;
    LaneMemory memory = lane.memory();
    const std::uint64_t start = below(random, 1000) * 8;
    for (std::uint64_t at = 0; at < 4096; at += 8) {
      const std::uint64_t length = below(random, 4) == 0 ? random() : below(random, 120);
      std::memcpy(memory.ring + at, &length, sizeof(length));
    }
    lane.set_head(start);
    lane.set_tail(start + below(random, 4097));
    LaneConsumer out{memory};
    const std::uint64_t tail = memory.producer->tail.load();
    while (out.readable() != 0) {
      const std::span<const std::byte> record = peek_record(out);
      if (record.data() == nullptr) break;
      ASSERT_LE(out.next() + record_stride(record.size()), tail);
      ASSERT_LE(record.data() + record.size(), memory.ring + 2 * memory.capacity_bytes);
      out.advance(record_stride(record.size()));
    }
  }
}

}  // namespace
}  // namespace sluice::ipc::test
