// SPDX-License-Identifier: Apache-2.0
// The control groups that this process is in, whose limits all hold for it. Source: cgroups(7).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice::detail {

struct Cgroup {
  std::filesystem::path directory;
  bool version_2 = false;
};

// Of the hierarchies that can have `controller` ("cpu", "memory", "pids"), each from the group at its mount point
// down to this process's own. `root` is where /proc and the mount points are looked for.
std::vector<Cgroup> cgroups_of_this_process(std::string_view controller,
                                            const std::filesystem::path& root = "/");

// What a file of the kernel begins with; nothing where there is no such file, or it says "max".
std::optional<std::uint64_t> number_in(const std::filesystem::path& file);

}  // namespace sluice::detail
