// SPDX-License-Identifier: Apache-2.0
#include "huge_page_pool.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include <fmt/format.h>

#include <sluice/detail/cgroup.hpp>
#include <sluice/ipc/segment.hpp>

namespace sluice::ipc {
namespace {

using sluice::detail::Cgroup;
using sluice::detail::number_in;

constexpr std::array<const char*, 2> kNames{"2 MiB", "1 GiB"};
constexpr std::array<const char*, 2> kNamesInCgroups{"2MB", "1GB"};

std::uint64_t less(std::uint64_t a, std::uint64_t b) {
  return a - std::min(a, b);
}

std::optional<NoHugePages> lack_in_pool(std::size_t size, std::uint64_t pages,
                                        const std::filesystem::path& root) {
  const std::string name = fmt::format("sys/kernel/mm/hugepages/hugepages-{}kB", kHugePageBytes[size] >> 10U);
  const std::filesystem::path pool = root / name;
  const auto number = [&pool](const char* file) { return number_in(pool / file).value_or(0); };
  const auto total = number_in(pool / "nr_hugepages");
  if (!total) {
    return NoHugePages{fmt::format("this machine has no pool of them (/{} cannot be read)", name),
                       "take a kernel with CONFIG_HUGETLBFS"};
  }
  // What is reserved is promised to those who have mapped it.
  const std::uint64_t free = less(number("free_hugepages"), number("resv_hugepages"));
  const std::uint64_t growth = less(number("nr_overcommit_hugepages"), number("surplus_hugepages"));
  if (pages <= free + growth) return std::nullopt;
  const std::string file = fmt::format("/{}/", name);
  return NoHugePages{fmt::format("it takes {} and {} are free, of {} in the pool ({}free_hugepages)", pages,
                                 free, *total, file),
                     fmt::format("as root: echo {} > {}nr_hugepages", *total + pages - free, file),
                     *total + growth == 0};
}

// What a control group may have counts when pages are reserved and when they are allocated.
std::optional<NoHugePages> lack_in(const Cgroup& group, const std::string& kind, std::size_t size,
                                   std::uint64_t bytes) {
  const std::string name = fmt::format("hugetlb.{}.{}", kNamesInCgroups[size], kind);
  const std::string limit_file = name + (group.version_2 ? "max" : "limit_in_bytes");
  const auto limit = number_in(group.directory / limit_file);
  const auto used = number_in(group.directory / (name + (group.version_2 ? "current" : "usage_in_bytes")));
  if (!limit || less(*limit, used.value_or(0)) >= bytes) return std::nullopt;
  const std::string file = (group.directory / limit_file).string();
  return NoHugePages{fmt::format("it takes {} MiB, and the limit of the control group {} leaves {} MiB",
                                 bytes >> 20U, file, less(*limit, used.value_or(0)) >> 20U),
                     fmt::format("as root: echo {} > {}", used.value_or(0) + bytes, file)};
}

}  // namespace

const char* name_of_huge_page(std::size_t size) noexcept {
  return kNames[size];
}

std::optional<NoHugePages> lack_of_huge_pages(std::size_t size, std::size_t bytes,
                                              const std::filesystem::path& root) {
  if (auto lack = lack_in_pool(size, bytes / kHugePageBytes[size], root)) return lack;
  for (const Cgroup& group : sluice::detail::cgroups_of_this_process("hugetlb", root)) {
    for (const char* kind : {"", "rsvd."}) {
      if (auto lack = lack_in(group, kind, size, bytes)) return lack;
    }
  }
  return std::nullopt;
}

}  // namespace sluice::ipc
