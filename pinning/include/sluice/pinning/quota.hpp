// SPDX-License-Identifier: Apache-2.0
// How much CPU time the control groups of this process grant it.
#pragma once

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

}  // namespace sluice::pinning
