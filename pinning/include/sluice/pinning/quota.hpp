// SPDX-License-Identifier: Apache-2.0
// How much CPU time the control groups of this process grant it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>

namespace sluice::pinning {

// The CPU quota in cores (1.5 is three cores half of the time): the tightest of this process's control group
// and all its ancestors, from cpu.max (cgroup v2) and cpu.cfs_quota_us (v1). None if nothing limits it or
// there are no control groups. Inside a container the ancestors outside its cgroup namespace cannot be seen.
//
// The files are found through <root>/proc/self/cgroup and <root>/proc/self/mountinfo, and every mount point
// is taken beneath <root>. A quota file whose content makes no sense throws sluice::Error with its path.
// Reads some files: for set-up. Any thread may call it.
std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

struct ThreadsAsked {
  unsigned by_process = 1;  // What one process asks for,
  std::size_t by_all = 0;   // and all processes together that the quota is for, this one among them.
  std::size_t units_of_process = 0;
};

// How many of the threads that a process asks for can run at once, of those that do not look themselves: no more than it has
// units, nor than whole cores of its share of the quota, which the processes have by what they ask for. At least 1.
unsigned threads_that_run(const ThreadsAsked& asked, std::optional<double> quota_cores) noexcept;

}  // namespace sluice::pinning
