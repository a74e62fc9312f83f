// SPDX-License-Identifier: Apache-2.0
// Small pages that are exchanged for huge ones while processes are at work in them, and pages that stay in memory.
#include <atomic>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <sluice/detail/sanitizers.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/segment.hpp>

#include "child.hpp"
#include "large_segment.hpp"

namespace sluice::ipc {
namespace {

using namespace test;

TEST(SmallPages, OfLargePiecesLieSoThatHugeOnesCanTakeTheirPlace) {
  Segment segment{"aligned", kLarge};
  EXPECT_EQ(segment.collapsible(16 * kMib), 0U);
  EXPECT_GE(segment.collapsible(kHuge), 6 * kMib);
}

// A word that a test and its child share.
class SharedWord {
 public:
  SharedWord() : word_{::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {}
  ~SharedWord() { ::munmap(word_, 4096); }
  SharedWord(const SharedWord&) = delete;
  SharedWord& operator=(const SharedWord&) = delete;
  std::atomic<int>& operator*() const { return *static_cast<std::atomic<int>*>(word_); }

 private:
  void* word_;
};

enum : int { kBefore, kUnderWay, kOver };

// Counts in each small page of the ring, over and over, and finds what it has counted there.
int count_in_all_pages(const RingView& ring, std::atomic<int>& state) {
  for (std::uint64_t round = 1; state != kOver; ++round) {
    for (std::size_t at = 8; at < ring.capacity_bytes; at += 4096) {
      std::uint64_t found = 0;
      std::memcpy(&found, ring.data + at, sizeof(found));
      if (found != round - 1) return 1;
      std::memcpy(ring.data + at, &round, sizeof(round));
    }
    int before = kBefore;
    state.compare_exchange_strong(before, kUnderWay);
  }
  return 0;
}

TEST(SmallPages, AreExchangedForHugeOnesUnderTheWriterWithoutALostByte) {
  Segment segment{"exchanged", kLarge};
  segment.prefault();
  segment.own(0);
  fill(segment);
  const RingView ring = segment.ring(0, 0);
  const SharedWord state;
  Child writer{[&] { return count_in_all_pages(ring, *state); }};
  while (*state == kBefore)
    ::usleep(100);
  const Segment::Collapsed result = segment.collapse(kHuge);
  *state = kOver;
  EXPECT_EQ(writer.ending(), "exit 0");
  if (result.bytes == 0) GTEST_SKIP() << "the kernel gives none: " << std::strerror(result.error);
  EXPECT_LE(result.bytes, segment.collapsible(kHuge));
  EXPECT_TRUE(is_filled(segment));
  EXPECT_GT(kib_of("exchanged", "ShmemPmdMapped:"), 0U);
}

TEST(SmallPages, StayWhereTheKernelKnowsNoExchange) {
  Child child{[] {
    if (!deny(SYS_madvise, 2, 25, EINVAL)) return 77;
    Segment segment{"old", kLarge};
    segment.prefault();
    segment.own(0);
    fill(segment);
    const Segment::Collapsed result = segment.collapse(kHuge);
    if (result.bytes != 0 || result.error != EINVAL) return 1;
    return is_filled(segment) ? 0 : 2;
  }};
  const Ending ending = child.ending();
  if (ending == "exit 77") GTEST_SKIP() << "no filter of system calls can be had here";
  EXPECT_EQ(ending, "exit 0");
}

// A process that may lock `kib` and has no right to more.
int as_one_that_may_lock(std::size_t kib, const Segment& segment) {
  const rlimit limit{kib * 1024, kib * 1024};
  constexpr uid_t kNobody = 65534;
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 77;
  if (::geteuid() == 0 && ::setresuid(kNobody, kNobody, kNobody) != 0) return 77;
  try {
    segment.refuse_lock_beyond_limit();
  } catch (const Error& error) {
    const std::string text = error.what();
    return text.find("this process may lock") != std::string::npos &&
                   text.find("ulimit -l") != std::string::npos
               ? 3
               : 4;
  }
  return segment.lock() == 0 ? 0 : 5;
}

// Less than any process may lock by default.
const std::array kLockable{RegionSpec{1 << 20U, {65536}}, RegionSpec{4096, {}}};

TEST(LockedMemory, StaysWithinTheLimitOrIsAnErrorThatNamesIt) {
  Segment segment{"locked", kLockable};
  segment.prefault();
  const std::size_t kib = segment.memory_bytes() / 1024;
  Child enough{[&] { return as_one_that_may_lock(kib, segment); }};
  const Ending ending = enough.ending();
  if (ending == "exit 77") GTEST_SKIP() << "limits and users cannot be chosen here";
  EXPECT_EQ(ending, "exit 0") << "the second mapping of a ring is not counted";
  Child too_little{[&] { return as_one_that_may_lock(kib - 4, segment); }};
  EXPECT_EQ(too_little.ending(), "exit 3");
}

TEST(LockedMemory, IsAllOfTheSegment) {
  if (SLUICE_ADDRESS_SANITIZER != 0 || SLUICE_THREAD_SANITIZER != 0)
    GTEST_SKIP() << "with a sanitizer mlock() says that it has locked, and does nothing";
  Segment segment{"all", kLockable};
  segment.prefault();
  Child child{[&segment] {
    const int error = segment.lock();
    if (error == ENOMEM || error == EPERM) return 77;
    return error == 0 && kib_of("all", "Locked:") * 1024 >= segment.memory_bytes() ? 0 : 1;
  }};
  const Ending ending = child.ending();
  if (ending == "exit 77") GTEST_SKIP() << "this process may lock too little";
  EXPECT_EQ(ending, "exit 0");
}

}  // namespace
}  // namespace sluice::ipc
