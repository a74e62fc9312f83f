// SPDX-License-Identifier: Apache-2.0
// Records of bytes in a lane: any length up to the lane's capacity less the length word, at any offset.
#include <deque>

#include <gtest/gtest.h>

#include <sluice/ipc/framing.hpp>

#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

// Bytes that differ from record to record and from place to place.
std::string text(std::size_t bytes, std::uint64_t salt) {
  std::string made(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i)
    made[i] = static_cast<char>((i * 131 + salt * 31 + bytes) & 0xff);
  return made;
}

TEST(Record, ArrivesAsItWasSent) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  ASSERT_TRUE(push_record(in, "seven b"));
  ASSERT_TRUE(push_record(in, ""));
  ASSERT_TRUE(push_record(in, "8 bytes."));
  in.publish();
  EXPECT_EQ(pop_record(out), "seven b");
  EXPECT_EQ(pop_record(out), "");
  EXPECT_EQ(pop_record(out), "8 bytes.");
  EXPECT_EQ(out.readable(), 0U);
}

TEST(Record, TakesALengthWordAndWholeWords) {
  EXPECT_EQ(record_stride(0), 8U);
  EXPECT_EQ(record_stride(1), 16U);
  EXPECT_EQ(record_stride(8), 16U);
  EXPECT_EQ(record_stride(9), 24U);
  EXPECT_EQ(largest_record(4096), 4088U);
}

TEST(Record, OfEveryLengthFitsIntoAnEmptyLane) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  for (std::size_t bytes = 0; bytes <= largest_record(4096); ++bytes) {
    const std::string sent = text(bytes, bytes);
    ASSERT_TRUE(push_record(in, sent)) << bytes;
    in.publish();
    ASSERT_EQ(pop_record(out), sent) << bytes;
    out.publish();
  }
}

TEST(Record, OfTheLargestSizeFitsAtEveryOffset) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  for (std::uint64_t offset = 0; offset < 4096; offset += 8) {
    ASSERT_EQ(in.next() % 4096, offset);
    const std::string sent = text(largest_record(4096), offset);
    ASSERT_TRUE(push_record(in, sent));
    ASSERT_FALSE(push_record(in, "")) << "it fills the lane";
    in.publish();
    ASSERT_EQ(pop_record(out), sent);
    out.publish();
    ASSERT_TRUE(push_record(in, ""));  // On to the next offset.
    in.publish();
    pop_record(out);
    out.publish();
  }
}

TEST(Record, OneByteLargerThanTheLargestIsRefused) {
  const TestLane lane;
  LaneProducer in{lane.memory()};
  EXPECT_EQ(reserve_record(in, largest_record(4096) + 1), nullptr);
  EXPECT_NE(reserve_record(in, largest_record(4096)), nullptr);
}

TEST(Record, OfRandomLengthsKeepsOrderAndBytes) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  const TestLane lane{16384};
  LaneProducer in{lane.memory()};
  LaneConsumer out{lane.memory()};
  std::deque<std::string> model;
  for (std::uint64_t step = 0; step < 30'000; ++step) {
    const std::uint64_t most = below(random, 8) == 0 ? largest_record(16384) + 1 : 300;
    const std::string sent = text(below(random, most), step);
    while (!push_record(in, sent)) {
      ASSERT_FALSE(model.empty());
      in.publish();
      ASSERT_EQ(pop_record(out), model.front());
      model.pop_front();
      out.publish();
    }
    model.push_back(sent);
  }
  EXPECT_FALSE(in.corrupt() || out.corrupt());
}

}  // namespace
}  // namespace sluice::ipc::test
