// SPDX-License-Identifier: Apache-2.0
// What the segment promises: one memory, one writer a region, errors at start and never later.
#include <array>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <limits>
#include <numeric>
#include <sys/mman.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>
#include <sluice/ipc/segment.hpp>

#include "child.hpp"

namespace sluice::ipc {
namespace {

using ::testing::HasSubstr;

const std::array kThree{RegionSpec{5000, {4096, 8192}}, RegionSpec{64, {}}, RegionSpec{4096, {4096}}};

// The descriptor of a segment's memory, found the way a stranger would.
int memory_of(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (!gone && target.starts_with("/memfd:sluice:" + name)) return std::stoi(entry.path().filename());
  }
  return -1;
}

std::size_t allocated_bytes(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? static_cast<std::size_t>(status.st_blocks) * 512 : 0;
}

// Every kind of byte of a region: plain, ring and the ring's second mapping, first and last.
std::vector<std::byte*> telling_bytes(const Segment& segment, std::size_t region) {
  const std::span<std::byte> plain = segment.plain(region);
  std::vector<std::byte*> bytes{&plain.front(), &plain.back()};
  for (std::size_t ring = 0; ring < kThree[region].ring_bytes.size(); ++ring) {
    const RingView view = segment.ring(region, ring);
    for (const std::uint64_t at :
         {std::uint64_t{0}, view.capacity_bytes - 1, view.capacity_bytes, 2 * view.capacity_bytes - 1}) {
      bytes.push_back(view.data + at);
    }
  }
  return bytes;
}

TEST(Segment, StartsAsZerosThatItsOwnerCanWrite) {
  Segment segment{"zeros", kThree};
  segment.prefault();
  segment.own(0);
  for (std::byte* at : telling_bytes(segment, 0))
    EXPECT_EQ(*at, std::byte{0});
  std::memset(segment.plain(0).data(), 0x5a, segment.plain(0).size());
  EXPECT_EQ(segment.plain(0).back(), std::byte{0x5a});
}

TEST(Segment, RoundsPlainPartsToPagesAndRingsToPowersOfTwo) {
  const std::array specs{RegionSpec{5000, {1, 4097}}, RegionSpec{0, {}}};
  const Segment segment{"sizes", specs};
  EXPECT_EQ(segment.region_count(), 2U);
  EXPECT_EQ(segment.plain(0).size(), 8192U);
  EXPECT_EQ(segment.ring(0, 0).capacity_bytes, 4096U);
  EXPECT_EQ(segment.ring(0, 1).capacity_bytes, 8192U);
  EXPECT_EQ(segment.plain(1).size(), 4096U);
  EXPECT_EQ(segment.memory_bytes(), 8192U + 4096U + 8192U + 4096U) << "second mappings cost no memory";
}

TEST(Segment, RingsAreContiguousOverTheirEnd) {
  Segment segment{"wrap", kThree};
  segment.own(0);
  for (const std::size_t index : {0U, 1U}) {
    const RingView ring = segment.ring(0, index);
    std::array<unsigned char, 100> run{};
    std::iota(run.begin(), run.end(), static_cast<unsigned char>(1));
    std::memcpy(ring.data + ring.capacity_bytes - 40, run.data(), run.size());
    EXPECT_EQ(std::memcmp(ring.data + ring.capacity_bytes - 40, run.data(), 40), 0);
    EXPECT_EQ(std::memcmp(ring.data, run.data() + 40, 60), 0) << "the second half is the first again";
    ring.data[7] = std::byte{0xee};
    EXPECT_EQ(ring.data[ring.capacity_bytes + 7], std::byte{0xee}) << "and the first is the second";
  }
}

TEST(Segment, RingsAndRegionsDoNotShareBytes) {
  Segment segment{"apart", kThree};
  segment.own_everything();
  std::vector<std::pair<std::byte*, std::size_t>> pieces;
  for (std::size_t region = 0; region < kThree.size(); ++region) {
    pieces.emplace_back(segment.plain(region).data(), segment.plain(region).size());
    for (std::size_t ring = 0; ring < kThree[region].ring_bytes.size(); ++ring) {
      pieces.emplace_back(segment.ring(region, ring).data, segment.ring(region, ring).capacity_bytes);
    }
  }
  for (std::size_t i = 0; i < pieces.size(); ++i)
    std::memset(pieces[i].first, static_cast<int>(i + 1), pieces[i].second);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    for (std::size_t at = 0; at < pieces[i].second; ++at)
      ASSERT_EQ(pieces[i].first[at], static_cast<std::byte>(i + 1)) << "piece " << i << " byte " << at;
  }
}

TEST(Segment, HasReadableBytesBehindEveryByteOfEveryRing) {
  const Segment segment{"beyond", kThree};
  const auto readable = [](const std::byte* at) {
    return test::Child{[at] { return static_cast<int>(*static_cast<const volatile std::byte*>(at)); }}
        .ending();
  };
  for (const auto& [region, index] : {std::pair{0U, 0U}, std::pair{0U, 1U}, std::pair{2U, 0U}}) {
    const RingView ring = segment.ring(region, index);
    for (std::size_t beyond = 0; beyond <= kReadableBeyond; beyond += 32) {
      EXPECT_EQ(readable(ring.data + 2 * ring.capacity_bytes - 1 + beyond), "exit 0");
    }
  }
}

TEST(Segment, ShowsWhatAnotherProcessWritesAtTheSameAddress) {
  Segment segment{"shared", kThree};
  segment.prefault();
  segment.own(1);
  test::Child writer{[&segment] {
    segment.own(2);
    for (std::byte* at : telling_bytes(segment, 2))
      *at = std::byte{0x77};
    return 0;
  }};
  ASSERT_EQ(writer.ending(), "exit 0");
  for (const std::byte* at : telling_bytes(segment, 2))
    EXPECT_EQ(*at, std::byte{0x77});
}

TEST(Segment, LetsAnOwnerWriteItsRegionAndFaultsItInEveryOther) {
  Segment segment{"mmu", kThree};
  segment.prefault();
  for (std::size_t owner = 0; owner < kThree.size(); ++owner) {
    for (std::size_t region = 0; region < kThree.size(); ++region) {
      for (std::byte* at : telling_bytes(segment, region)) {
        test::Child child{[&segment, owner, at] {
          segment.own(owner);
          *static_cast<volatile std::byte*>(at) = std::byte{1};
          return 0;
        }};
        EXPECT_EQ(child.ending(), owner == region ? "exit 0" : "signal 11")
            << "owner " << owner << " stores into region " << region;
      }
    }
  }
}

TEST(Segment, IsReadOnlyBeforeAnybodyOwnsAnything) {
  Segment segment{"nobody", kThree};
  test::Child child{[&segment] {
    *static_cast<volatile std::byte*>(segment.plain(0).data()) = std::byte{1};
    return 0;
  }};
  EXPECT_EQ(child.ending(), "signal 11");
}

TEST(Segment, TakesAnInheritedRegionAwayFromTheChildThatOwnsAnother) {
  Segment segment{"handover", kThree};
  for (const bool everything : {false, true}) {
    test::Child child{[&segment, everything] {
      everything ? segment.own_everything() : segment.own(0);
      segment.own(1);
      *static_cast<volatile std::byte*>(segment.plain(1).data()) = std::byte{1};
      *static_cast<volatile std::byte*>(segment.plain(0).data()) = std::byte{1};
      return 0;
    }};
    EXPECT_EQ(child.ending(), "signal 11") << (everything ? "after everything" : "after region 0");
  }
}

TEST(Segment, CannotChangeItsSize) {
  const Segment segment{"sealed", kThree};
  const int fd = memory_of("sealed");
  ASSERT_GE(fd, 0);
  const auto size = static_cast<off_t>(segment.memory_bytes());
  EXPECT_EQ(::ftruncate(fd, size - 4096), -1);
  EXPECT_EQ(::ftruncate(fd, size + 4096), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(Segment, CannotBeWrittenThroughAnyDescriptorOfItsMemory) {
  Segment segment{"future", kThree};
  segment.prefault();
  const int fd = memory_of("future");
  ASSERT_GE(fd, 0);
  const int again = ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC);
  for (const int descriptor : {fd, again}) {
    if (descriptor < 0) continue;
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), MAP_FAILED);
    EXPECT_EQ(errno, EPERM);
    void* read_only = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, descriptor, 0);
    ASSERT_NE(read_only, MAP_FAILED);
    EXPECT_EQ(::mprotect(read_only, 4096, PROT_READ | PROT_WRITE), -1);
    ::munmap(read_only, 4096);
    EXPECT_EQ(::pwrite(descriptor, "x", 1, 0), -1);
    EXPECT_EQ(errno, EPERM);
  }
  if (again >= 0) ::close(again);
  // And yet: an owner owns what was mapped before, also after a fork.
  test::Child child{[&segment] {
    segment.own(2);
    *static_cast<volatile std::byte*>(segment.plain(2).data()) = std::byte{1};
    return 0;
  }};
  EXPECT_EQ(child.ending(), "exit 0");
  EXPECT_EQ(segment.plain(2)[0], std::byte{1});
}

TEST(Segment, TakesItsMemoryWhenPrefaultedAndNotBefore) {
  const std::array specs{RegionSpec{1 << 20, {1 << 20}}};
  Segment segment{"prefault", specs};
  const int fd = memory_of("prefault");
  ASSERT_GE(fd, 0);
  EXPECT_EQ(allocated_bytes(fd), 0U);
  segment.prefault();
  EXPECT_EQ(allocated_bytes(fd), segment.memory_bytes());
}

TEST(Segment, GivesItsMemoryBackAtTheEnd) {
  { const Segment segment{"short-lived", kThree}; }
  EXPECT_EQ(memory_of("short-lived"), -1);
}

TEST(Segment, ThatIsLargerThanTheMachineIsAClearError) {
  constexpr std::size_t kHuge = std::size_t{1} << 44;
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  for (const RegionSpec& spec : {RegionSpec{kHuge, {}}, RegionSpec{0, {kHuge}}, RegionSpec{kMost, {}},
                                 RegionSpec{0, {kMost}}, RegionSpec{kMost / 2, {kMost / 2 + 1}}}) {
    const std::array specs{spec, spec};
    try {
      const Segment segment{"enormous", specs};
      ADD_FAILURE() << "a segment of " << segment.memory_bytes() << " bytes";
    } catch (const Error& error) {
      EXPECT_EQ(error.parts().object, "enormous");
      EXPECT_THAT(error.what(), HasSubstr("MiB"));
      EXPECT_THAT(error.parts().remedy, HasSubstr("lower lane.bytes"));
    }
  }
  EXPECT_EQ(memory_of("enormous"), -1) << "a failed segment leaves nothing open";
}

}  // namespace
}  // namespace sluice::ipc
