// SPDX-License-Identifier: Apache-2.0
// The machine's pool of huge pages (hugetlb), asked before a page of it is taken. Sources: hugetlbpage.rst and
// cgroup-v1/hugetlb.rst, cgroup-v2.rst of the kernel's documentation.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace sluice::ipc {

struct NoHugePages {
  std::string why;     // "it takes 512 and 3 are free, of 64 (/sys/kernel/mm/hugepages/...)"
  std::string remedy;  // The command that would give them.
  bool empty = false;  // Nobody has set any aside.
};

// "2 MiB"; `size` is an index into kHugePageBytes.
const char* name_of_huge_page(std::size_t size) noexcept;

// Nothing when `bytes`, whole pages of that size, can be had: the pool has them free, or may grow by them, and no control
// group of this process limits them to less. `root` is where /sys, /proc and the mount points are looked for.
std::optional<NoHugePages> lack_of_huge_pages(std::size_t size, std::size_t bytes,
                                              const std::filesystem::path& root = "/");

}  // namespace sluice::ipc
