// SPDX-License-Identifier: Apache-2.0
// The CPU quota, found in made-up trees of /proc and /sys that stand for machines and containers.
#include <filesystem>
#include <fstream>
#include <stdlib.h>
#include <string>

#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/quota.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class Quota : public testing::Test {
 protected:
  Quota() {
    std::string name = (fs::temp_directory_path() / "sluice-quota-XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~Quota() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream{root_ / path} << text;
  }

  // A machine whose only hierarchy is cgroup v2, with this process in `group`.
  void unified(const std::string& group) const {
    write("proc/self/cgroup", "0::" + group + "\n");
    write("proc/self/mountinfo",
          "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
          "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  }

  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

TEST_F(Quota, IsNoneWithoutControlGroups) {
  EXPECT_EQ(cpu_quota(root()), std::nullopt);
}

TEST_F(Quota, IsNoneWhereNothingLimits) {
  unified("/work");
  write("sys/fs/cgroup/work/cpu.max", "max 100000\n");
  EXPECT_EQ(cpu_quota(root()), std::nullopt);
}

TEST_F(Quota, IsQuotaOverPeriodInVersion2) {
  unified("/work");
  write("sys/fs/cgroup/work/cpu.max", "150000 100000\n");
  EXPECT_EQ(cpu_quota(root()), 1.5);
}

TEST_F(Quota, IsTheTightestOfAllAncestors) {
  unified("/slice/service/work");
  write("sys/fs/cgroup/slice/cpu.max", "50000 100000\n");
  write("sys/fs/cgroup/slice/service/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/slice/service/work/cpu.max", "400000 100000\n");
  EXPECT_EQ(cpu_quota(root()), 0.5);
}

TEST_F(Quota, IgnoresTheGroupsOfOthers) {
  unified("/slice/work");
  write("sys/fs/cgroup/slice/work/cpu.max", "200000 100000\n");
  write("sys/fs/cgroup/slice/other/cpu.max", "10000 100000\n");
  write("sys/fs/cgroup/slice/work/below/cpu.max", "10000 100000\n");
  EXPECT_EQ(cpu_quota(root()), 2.0);
}

TEST_F(Quota, IsReadAtTheMountPointInsideACgroupNamespace) {
  unified("/");
  write("sys/fs/cgroup/cpu.max", "250000 100000\n");
  EXPECT_EQ(cpu_quota(root()), 2.5);
}

TEST_F(Quota, FallsBackToTheMountPointForAGroupOutsideTheMount) {
  unified("/../elsewhere");
  write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(cpu_quota(root()), 1.0);
}

TEST_F(Quota, IsReadFromVersion1WhereCpuIsOneOfTheControllers) {
  write("proc/self/cgroup", "7:memory:/m\n3:cpu,cpuacct:/a/b\n2:cpuset:/c\n0::/\n");
  write("proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 - cgroup cgroup rw,cpu,cpuacct\n"
        "33 31 0:30 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "75000\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "50000\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpuset/c/cpu.cfs_quota_us", "1000\n");
  write("sys/fs/cgroup/cpuset/c/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(root()), 1.5);
}

TEST_F(Quota, FollowsAMountThatShowsOnlyTheContainersPart) {
  write("proc/self/cgroup", "3:cpu:/docker/abc/inner\n");
  write("proc/self/mountinfo",
        "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro,relatime master:4 - cgroup cgroup rw,cpu\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "200000\n");
  write("sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(root()), 2.0);
}

TEST_F(Quota, FindsMountPointsWithBlanksInTheirNames) {
  write("proc/self/cgroup", "0::/\n");
  write("proc/self/mountinfo", "35 24 0:30 / /my\\040groups rw - cgroup2 none rw\n");
  write("my groups/cpu.max", "100000 200000\n");
  EXPECT_EQ(cpu_quota(root()), 0.5);
}

TEST_F(Quota, RefusesAFileThatMakesNoSenseByItsPath) {
  unified("/work");
  for (const char* text :
       {"", "plenty 100000", "100000", "-5 100000", "100000 0", "0 100000", "1e5 100000"}) {
    write("sys/fs/cgroup/work/cpu.max", text);
    const std::string said = error_of([this] { cpu_quota(root()); });
    EXPECT_THAT(said, HasSubstr("sys/fs/cgroup/work/cpu.max"));
    EXPECT_THAT(said, HasSubstr(text));
  }
}

TEST(PlannedQuota, IsForTheThreadsOfAllWorkersTogether) {
  Topology machine = topology_from_synthetic("package:1 l3:1 core:16 pu:1");
  machine.quota_cores = 4;
  const PlanRequest wide{.stages = {{.name = "wide", .workers = 2, .threads = 4}}};
  const Plan placed = plan(machine, wide);
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_THAT(
      placed.remarks,
      ElementsAre(HasSubstr("CPU quota of 4 cores is below the 5 that 4 threads of 2 workers"),
                  HasSubstr("at least one of them runs 2 threads: the CPU quota is 4 cores for 8 threads")));
  machine.quota_cores = 9;
  EXPECT_FALSE(plan(machine, wide).oversubscribed);
  machine.quota_cores = 8;
  EXPECT_TRUE(plan(machine, wide).oversubscribed) << "the host wants its share, too";
}

TEST_F(Quota, CanBeAskedOfThisMachine) {
  const auto quota = cpu_quota();
  if (quota) {
    EXPECT_GT(*quota, 0.0);
  }
}

}  // namespace
}  // namespace sluice::pinning
