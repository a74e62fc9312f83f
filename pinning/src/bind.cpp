// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include <sluice/pinning/bind.hpp>

#include "affinity.hpp"

namespace sluice::pinning {
namespace {

// The system calls are made bare: libnuma would add a dependency, and its wrappers allocate.

constexpr unsigned kMaskWordBits = 8 * sizeof(unsigned long);

// Linux can be built for 1024 nodes at most (CONFIG_NODES_SHIFT is 10 at most), and no fewer bits will do for
// reading a policy back. The kernel takes one off the length that it is given.
constexpr unsigned kMostNodes = 1024;
constexpr unsigned long kMaskLength = kMostNodes + 1;
using NodeMask = std::array<unsigned long, kMostNodes / kMaskWordBits>;

bool is_node(int node) noexcept {
  return node >= 0 && node < static_cast<int>(kMostNodes);
}

NodeMask mask_of(int node) noexcept {
  NodeMask mask{};
  const auto bit = static_cast<unsigned>(node);
  mask[bit / kMaskWordBits] = 1UL << (bit % kMaskWordBits);
  return mask;
}

int only_node(const NodeMask& mask) noexcept {
  int node = -1;
  for (unsigned word = 0; word < mask.size(); ++word) {
    if (mask[word] == 0) continue;
    if (node >= 0 || !std::has_single_bit(mask[word])) return -1;
    node = static_cast<int>(word * kMaskWordBits) + std::countr_zero(mask[word]);
  }
  return node;
}

}  // namespace

ProcessBinding bind_this_process(const Place& place) noexcept {
  ProcessBinding binding;
  const std::span<const CpuSet::Word> mask = place.units.mask();
  if (sched_setaffinity(0, mask.size_bytes(), reinterpret_cast<const cpu_set_t*>(mask.data())) != 0) {
    binding.affinity_error = errno;
  }
  if (place.numa_node >= 0) {
    if (!is_node(place.numa_node)) {
      binding.memory_error = EINVAL;
    } else {
      const NodeMask nodes = mask_of(place.numa_node);
      if (syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes.data(), kMaskLength) != 0) {
        binding.memory_error = errno;
      }
    }
  }
  return binding;
}

int move_memory(std::span<const std::byte> memory, int numa_node) noexcept {
  if (!is_node(numa_node)) return EINVAL;
  const NodeMask nodes = mask_of(numa_node);
  const auto bind = [&](int mode, const unsigned long* mask, unsigned long length, unsigned flags) {
    return syscall(SYS_mbind, memory.data(), memory.size(), mode, mask, length, flags) == 0 ? 0 : errno;
  };
  // The kernel compares a policy with what this process's mapping has, and passes over one that is the same: then the
  // shared memory keeps what another process has set, and its pages "go" to where they are. Source: mbind_range().
  if (const int error = bind(MPOL_DEFAULT, nullptr, 0, 0); error != 0) return error;
  return bind(MPOL_PREFERRED, nodes.data(), kMaskLength, MPOL_MF_MOVE_ALL | MPOL_MF_STRICT);
}

MemoryBinding bind_memory(std::span<const std::byte> memory, int numa_node, Strictness strictness) noexcept {
  MemoryBinding binding;
  if (!is_node(numa_node)) {
    binding.error = EINVAL;
    return binding;
  }
  const NodeMask nodes = mask_of(numa_node);
  const int mode = strictness == Strictness::bound ? MPOL_BIND : MPOL_PREFERRED;
  if (syscall(SYS_mbind, memory.data(), memory.size(), mode, nodes.data(), kMaskLength, 0U) != 0) {
    binding.error = errno;
    return binding;
  }
  int granted_mode = MPOL_DEFAULT;
  NodeMask granted{};
  if (syscall(SYS_get_mempolicy, &granted_mode, granted.data(), kMaskLength, memory.data(), MPOL_F_ADDR) !=
      0) {
    binding.error = errno;
    return binding;
  }
  if (granted_mode == mode) binding.granted_node = only_node(granted);
  return binding;
}

std::size_t Whereabouts::present_pages() const noexcept {
  std::size_t pages = 0;
  for (const auto& [node, count] : pages_on_node)
    pages += count;
  return pages;
}

Whereabouts where_is(std::span<const std::byte> memory) {
  constexpr std::size_t kPagesAsked = 1024;
  Whereabouts found;
  if (memory.empty()) return found;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::uintptr_t end = start + memory.size();
  std::vector<void*> pages;
  std::vector<int> nodes;
  for (std::uintptr_t next = start & ~(page - 1); next < end;) {
    pages.clear();
    for (; next < end && pages.size() < kPagesAsked; next += page) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel wants addresses, counted page by page.
      pages.push_back(reinterpret_cast<void*>(next));
    }
    nodes.assign(pages.size(), -ENOENT);
    if (syscall(SYS_move_pages, 0, pages.size(), pages.data(), nullptr, nodes.data(), 0) != 0) {
      found.error = errno;
      return found;
    }
    for (const int node : nodes) {
      if (node >= 0) {
        ++found.pages_on_node[node];
      } else {
        ++found.absent_pages;
      }
    }
  }
  return found;
}

CpuSet current_units(pid_t pid) {
  return affinity_of(pid);
}

}  // namespace sluice::pinning
