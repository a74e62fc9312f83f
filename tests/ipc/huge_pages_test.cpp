// SPDX-License-Identifier: Apache-2.0
// Huge pages of the machine's pool under a segment: what there is of them is asked first, nothing is ever a SIGBUS, and what
// cannot be had is said.
#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>
#include <sluice/ipc/segment.hpp>

#include "child.hpp"
#include "huge_page_pool.hpp"
#include "huge_pool.hpp"
#include "large_segment.hpp"

namespace sluice::ipc {
namespace {

using namespace test;
using sluice::test::HugePool;
using sluice::test::kNoHugePool;
using testing::AllOf;
using testing::HasSubstr;

TEST(HugePages, HoldTheWholePartsAndTheRestIsInSmallOnes) {
  const HugePool pool{16};
  if (!pool.had()) GTEST_SKIP() << kNoHugePool;
  const std::size_t free = HugePool::free();
  {
    Segment segment{"huge", kLarge, kRequired};
    EXPECT_EQ(segment.huge_bytes(kTwoMib), 4 * kMib + 4 * kMib) << "of 5 MiB two pages";
    EXPECT_EQ(segment.memory_bytes(), 9 * kMib + 4096 + 65536 + 4096) << "nothing is rounded up";
    EXPECT_LE(HugePool::free(), free - 4) << "they are reserved before they are touched";
    segment.prefault();
    EXPECT_EQ(segment.huge_remark(), "");
    segment.own(0);
    fill(segment);
    EXPECT_TRUE(is_filled(segment)) << "a ring is mapped twice in a row";
    EXPECT_EQ(kib_of("huge", "Shared_Hugetlb:") + kib_of("huge", "Private_Hugetlb:"), 12 * 1024U);
    Child reader{[&segment] { return is_filled(segment) ? 0 : 1; }};
    EXPECT_EQ(reader.ending(), "exit 0");
    segment.own_nothing();
    Child writer{[&segment] {
      *segment.ring(0, 0).data = std::byte{1};
      return 0;
    }};
    EXPECT_EQ(writer.ending(), "signal 11") << "one writer, on huge pages as on small ones";
    const std::array<int, 3> strangers = segment.open_read_only();
    EXPECT_EQ(::mmap(nullptr, kHuge, PROT_READ | PROT_WRITE, MAP_SHARED, strangers[1 + kTwoMib], 0),
              MAP_FAILED);
    {
      const Segment observed{
          "observed", kLarge,
          ForeignMemory{strangers[0], 0, {strangers[1], strangers[2]}, segment.huge_pages()}};
      EXPECT_TRUE(is_filled(observed));
    }
  }
  EXPECT_TRUE(HugePool::gets_back(free));
}

TEST(HugePages, AreGivenBackWhenTheLastProcessIsKilled) {
  const HugePool pool{8};
  if (!pool.had()) GTEST_SKIP() << kNoHugePool;
  const std::size_t free = HugePool::free();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Child owner{[&ends] {
    Segment segment{"killed", kLarge, kRequired};
    segment.prefault();
    if (::write(ends[1], "x", 1) == 1) ::pause();
    return 0;
  }};
  ::close(ends[1]);
  char ready = 0;
  EXPECT_EQ(::read(ends[0], &ready, 1), 1);
  ::close(ends[0]);
  EXPECT_LE(HugePool::free(), free - 4);
  owner.kill();
  EXPECT_EQ(owner.ending(), "signal 9");
  EXPECT_TRUE(HugePool::gets_back(free));
}

TEST(HugePages, ThatAreRequiredAndNotThereAreAnErrorThatNamesTheCommand) {
  const HugePool no_more{0};
  const std::array enormous{RegionSpec{HugePool::number("free_hugepages") * kHuge + 64 * kMib, {}, 4096}};
  try {
    const Segment segment{"poor", enormous, kRequired};
    FAIL() << "there are fewer";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("take huge pages of 2 MiB for poor"), HasSubstr("it takes"),
                      HasSubstr("are free, of"), HasSubstr("nr_hugepages"), HasSubstr("memory.huge=auto")));
  }
}

TEST(HugePages, ThatAreWelcomeAndNotThereAreSmallOnesAndItSaysWhy) {
  const HugePool no_more{0};
  const std::array enormous{RegionSpec{HugePool::number("free_hugepages") * kHuge + 64 * kMib, {}, 4096}};
  Segment segment{"modest", enormous, kWelcome};
  EXPECT_EQ(segment.huge_bytes(kTwoMib), 0U);
  EXPECT_THAT(segment.huge_remark(), HasSubstr("none of 2 MiB: "));
}

// What allocates them fails although they were free and reserved: another limit, of which nothing is known.
TEST(HugePages, ThatAreDeniedAtTheLastMomentAreSmallOnesAtTheSameAddresses) {
  const HugePool pool{8};
  if (!pool.had()) GTEST_SKIP() << kNoHugePool;
  Child child{[] {
    if (!deny(SYS_fallocate, 3, 8 * kMib, ENOSPC)) return 77;
    Segment segment{"late", kLarge, kWelcome};
    const std::byte* const plain = segment.plain(0).data();
    const std::byte* const ring = segment.ring(0, 0).data;
    if (segment.huge_bytes(kTwoMib) != 8 * kMib) return 1;
    if (segment.populate_huge()) return 2;
    if (segment.huge_bytes(kTwoMib) != 0 || segment.huge_remark().find("No space left") == std::string::npos)
      return 3;
    if (segment.plain(0).data() != plain || segment.ring(0, 0).data != ring) return 4;
    segment.prefault();
    segment.own(0);
    fill(segment);
    return is_filled(segment) ? 0 : 5;
  }};
  const Ending ending = child.ending();
  if (ending == "exit 77") GTEST_SKIP() << "no filter of system calls can be had here";
  EXPECT_EQ(ending, "exit 0");
}

TEST(HugePages, ThatAreRequiredAndDeniedAtTheLastMomentAreAnError) {
  const HugePool pool{8};
  if (!pool.had()) GTEST_SKIP() << kNoHugePool;
  Child child{[] {
    if (!deny(SYS_fallocate, 3, 8 * kMib, ENOSPC)) return 77;
    Segment segment{"late", kLarge, kRequired};
    try {
      segment.prefault();
    } catch (const Error& error) {
      return std::string{error.what()}.find("No space left") != std::string::npos ? 0 : 1;
    }
    return 2;
  }};
  const Ending ending = child.ending();
  if (ending == "exit 77") GTEST_SKIP() << "no filter of system calls can be had here";
  EXPECT_EQ(ending, "exit 0");
}

// The control group of a child, in a hierarchy that only it sees.
int run_below_a_limit(const std::string& mount, std::size_t limit, bool required) {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", mount.c_str(), "cgroup", 0, "hugetlb") != 0) {
    return 77;
  }
  const std::filesystem::path group = std::filesystem::path{mount} / "sluice-test";
  std::filesystem::create_directory(group);
  std::ofstream{group / "hugetlb.2MB.limit_in_bytes"} << limit << std::flush;
  std::ofstream{group / "cgroup.procs"} << ::getpid() << std::flush;
  int status = 1;
  try {
    Segment segment{"limited", kLarge, required ? kRequired : kWelcome};
    const std::string remark = segment.huge_remark();
    segment.prefault();
    segment.own(0);
    fill(segment);
    if (!required && remark.find("sluice-test") != std::string::npos && is_filled(segment)) status = 0;
  } catch (const Error& error) {
    const std::string text = error.what();
    if (required && text.find("hugetlb.2MB.limit_in_bytes leaves 4 MiB") != std::string::npos) status = 0;
  }
  std::ofstream{std::filesystem::path{mount} / "cgroup.procs"} << ::getpid() << std::flush;
  std::error_code error;
  std::filesystem::remove(group, error);
  ::umount(mount.c_str());
  return status;
}

TEST(HugePages, OfALimitedControlGroupAreAskedForFirstAndNeverASigbus) {
  const HugePool pool{16};
  if (!pool.had()) GTEST_SKIP() << kNoHugePool;
  std::string mount = (std::filesystem::temp_directory_path() / "sluice-hugetlb-XXXXXX").string();
  ASSERT_NE(::mkdtemp(mount.data()), nullptr);
  for (const bool required : {false, true}) {
    Child child{[&] { return run_below_a_limit(mount, 4 * kMib, required); }};
    const Ending ending = child.ending();
    if (ending == "exit 77") {
      std::filesystem::remove(mount);
      GTEST_SKIP() << "no hierarchy of control groups for huge pages can be mounted here";
    }
    EXPECT_EQ(ending, "exit 0") << required;
  }
  std::filesystem::remove(mount);
}

// A machine as files: its pool and its control groups.
class Machine : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(root_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = std::filesystem::path{root_} / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream{file} << text << "\n";
  }
  void pool(const char* total, const char* free, const char* reserved, const char* overcommit,
            const char* surplus) {
    const std::string directory = "sys/kernel/mm/hugepages/hugepages-2048kB/";
    write(directory + "nr_hugepages", total);
    write(directory + "free_hugepages", free);
    write(directory + "resv_hugepages", reserved);
    write(directory + "nr_overcommit_hugepages", overcommit);
    write(directory + "surplus_hugepages", surplus);
  }
  std::string lack(std::size_t pages) const {
    const auto found = lack_of_huge_pages(kTwoMib, pages * kHuge, root_);
    return found ? found->why + " | " + found->remedy : "";
  }
  std::string root_ = (std::filesystem::temp_directory_path() / "sluice-machine-XXXXXX").string();
};

TEST_F(Machine, HasTheHugePagesThatAreFreeAndNotReserved) {
  pool("64", "10", "4", "0", "0");
  EXPECT_EQ(lack(6), "");
  EXPECT_EQ(lack(7),
            "it takes 7 and 6 are free, of 64 in the pool (/sys/kernel/mm/hugepages/hugepages-2048kB/"
            "free_hugepages) | as root: echo 65 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
  pool("64", "10", "4", "5", "2");
  EXPECT_EQ(lack(9), "") << "the pool may grow by three";
  EXPECT_NE(lack(10), "");
}

TEST_F(Machine, WithoutAPoolSaysSo) {
  EXPECT_THAT(lack(1), HasSubstr("this machine has no pool of them"));
}

TEST_F(Machine, LimitsHugePagesByControlGroupsOfBothVersions) {
  pool("64", "64", "0", "0", "0");
  write("proc/self/mountinfo",
        "30 1 0:1 / /cg/unified rw - cgroup2 cgroup2 rw\n31 1 0:2 / /cg/huge rw - cgroup cgroup rw,hugetlb");
  write("proc/self/cgroup", "5:hugetlb:/job\n0::/job");
  write("cg/unified/job/hugetlb.2MB.max", "max");
  write("cg/unified/job/hugetlb.2MB.current", "0");
  write("cg/huge/job/hugetlb.2MB.limit_in_bytes", "9223372036852678656");
  EXPECT_EQ(lack(64), "");
  write("cg/unified/job/hugetlb.2MB.rsvd.max", "8388608");
  write("cg/unified/job/hugetlb.2MB.rsvd.current", "4194304");
  EXPECT_EQ(lack(2), "");
  EXPECT_THAT(lack(3), AllOf(HasSubstr("it takes 6 MiB"), HasSubstr("job/hugetlb.2MB.rsvd.max leaves 4 MiB"),
                             HasSubstr("echo 10485760 > ")));
  write("cg/huge/job/hugetlb.2MB.limit_in_bytes", "2097152");
  write("cg/huge/job/hugetlb.2MB.usage_in_bytes", "0");
  EXPECT_THAT(lack(2), HasSubstr("hugetlb.2MB.limit_in_bytes leaves 2 MiB"));
}

}  // namespace
}  // namespace sluice::ipc
