// SPDX-License-Identifier: Apache-2.0
// A segment of many rings: a process has the mappings of those that it asks for, with the rights that it has, and sees the
// others as they lie in the memory.
#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include <sluice/ipc/segment.hpp>

#include "child.hpp"

namespace sluice::ipc {
namespace {

constexpr std::size_t kRings = kRingsMappedAhead / 2 + 1;  // Of each of two regions.
constexpr std::size_t kBytes = 8192;

std::vector<RegionSpec> two_regions() {
  const std::vector<std::size_t> rings(kRings, kBytes);
  return {RegionSpec{4096, rings, 0}, RegionSpec{4096, rings, 0}, RegionSpec{64, {}, 0}};
}

// Of the segment, in this process.
std::size_t mappings() {
  std::ifstream file{"/proc/self/maps"};
  std::size_t found = 0;
  for (std::string line; std::getline(file, line);)
    found += line.find("memfd:sluice:rings") == std::string::npos ? 0 : 1;
  return found;
}

class SegmentRings : public testing::Test {
 protected:
  SegmentRings() { segment_.prefault(); }

  static test::Ending store(std::byte* at) {
    return test::Child{[at] {
             *static_cast<volatile std::byte*>(at) = std::byte{1};
             return 0;
           }}
        .ending();
  }

  Segment segment_{"rings", two_regions()};
};

TEST_F(SegmentRings, AreMappedForWhoAsksForThem) {
  const std::size_t before = mappings();
  EXPECT_LE(before, 4) << "the regions, and the whole";
  for (std::size_t index = 0; index < 10; ++index)
    segment_.map_ring(0, index);
  const std::size_t after_ten = mappings();
  EXPECT_GE(after_ten, before + 10) << "neighbours may be one mapping";
  EXPECT_LE(after_ten, before + 20);
  segment_.map_ring(0, 3);
  EXPECT_EQ(mappings(), after_ten) << "once only";
  segment_.unmap_rings();
  EXPECT_EQ(mappings(), before);
}

TEST_F(SegmentRings, AreContiguousOverTheirEnd) {
  segment_.own(1);
  segment_.map_ring(1, kRings - 1);
  const RingView ring = segment_.ring(1, kRings - 1);
  ASSERT_EQ(ring.capacity_bytes, kBytes);
  std::array<unsigned char, 100> run{};
  std::iota(run.begin(), run.end(), static_cast<unsigned char>(1));
  std::memcpy(ring.data + kBytes - 40, run.data(), run.size());
  EXPECT_EQ(std::memcmp(ring.data, run.data() + 40, 60), 0) << "the second half is the first again";
  const std::span<std::byte> once = segment_.ring_memory(1, kRings - 1);
  ASSERT_EQ(once.size(), kBytes);
  EXPECT_EQ(std::memcmp(once.data() + kBytes - 40, run.data(), 40), 0) << "and so it lies in the memory";
  EXPECT_EQ(std::memcmp(once.data(), run.data() + 40, 60), 0);
  // Behind its last byte, too, something can be read.
  EXPECT_EQ(test::Child{[&ring] {
              return static_cast<int>(
                  static_cast<const volatile std::byte*>(ring.data)[2 * kBytes + kReadableBeyond - 1]);
            }}.ending(),
            "exit 0");
}

TEST_F(SegmentRings, ShareNoByte) {
  segment_.own_everything();
  for (std::size_t region = 0; region < 2; ++region) {
    for (std::size_t index = 0; index < kRings; ++index) {
      const std::span<std::byte> ring = segment_.ring_memory(region, index);
      std::memset(ring.data(), static_cast<int>((region * 7 + index) % 251 + 1), ring.size());
    }
  }
  std::memset(segment_.plain(2).data(), 0xff, segment_.plain(2).size());
  for (std::size_t region = 0; region < 2; ++region) {
    for (std::size_t index = 0; index < kRings; ++index) {
      segment_.map_ring(region, index);
      const RingView ring = segment_.ring(region, index);
      const auto expected = static_cast<std::byte>((region * 7 + index) % 251 + 1);
      ASSERT_TRUE(std::all_of(ring.data, ring.data + 2 * kBytes,
                              [expected](std::byte each) { return each == expected; }))
          << "ring " << index << " of region " << region;
    }
  }
}

TEST_F(SegmentRings, CanBeWrittenByTheirOwnerAlone) {
  segment_.map_ring(0, 5);
  segment_.map_ring(1, 5);
  std::byte* const first = segment_.ring(0, 5).data;
  std::byte* const other = segment_.ring(1, 5).data;
  EXPECT_EQ(store(first), "signal 11") << "nobody owns anything";
  segment_.own(0);
  EXPECT_EQ(store(first), "exit 0") << "mapped before";
  EXPECT_EQ(store(first + 2 * kBytes - 1), "exit 0") << "in its second mapping";
  EXPECT_EQ(store(other), "signal 11");
  segment_.map_ring(0, 6);
  EXPECT_EQ(store(segment_.ring(0, 6).data), "exit 0") << "mapped afterwards";
  EXPECT_EQ(store(segment_.ring(0, 7).data), "signal 11") << "not mapped";
  EXPECT_EQ(store(segment_.ring_memory(0, 5).data()), "signal 11") << "from outside";
  segment_.own(1);
  EXPECT_EQ(store(first), "signal 11");
  EXPECT_EQ(store(other), "exit 0");
  segment_.own_nothing();
  EXPECT_EQ(store(other), "signal 11");
}

TEST_F(SegmentRings, CanBeWrittenFromOutsideByWhoOwnsEverything) {
  segment_.own_everything();
  *segment_.ring_memory(1, 9).data() = std::byte{0x5a};
  segment_.map_ring(1, 9);
  EXPECT_EQ(store(segment_.ring(1, 9).data), "exit 0");
  segment_.own(0);
  EXPECT_EQ(store(segment_.ring_memory(1, 9).data()), "signal 11");
  EXPECT_EQ(store(segment_.ring(1, 9).data), "signal 11");
}

TEST_F(SegmentRings, ShowWhatAnotherProcessWritesIntoThem) {
  segment_.map_ring(0, 1);
  test::Child writer{[this] {
    segment_.own(0);
    segment_.map_ring(0, 2);
    segment_.ring(0, 1).data[kBytes - 1] = std::byte{0x11};
    segment_.ring(0, 2).data[kBytes] = std::byte{0x22};
    return 0;
  }};
  ASSERT_EQ(writer.ending(), "exit 0");
  EXPECT_EQ(segment_.ring(0, 1).data[2 * kBytes - 1], std::byte{0x11});
  EXPECT_EQ(segment_.ring_memory(0, 2).front(), std::byte{0x22});
  segment_.map_ring(0, 2);
  EXPECT_EQ(*segment_.ring(0, 2).data, std::byte{0x22});
}

}  // namespace
}  // namespace sluice::ipc
