// SPDX-License-Identifier: Apache-2.0
// Carries a place out and asks the kernel what came of it: thin shells around five system calls.
//
// All of them act on the calling process. A kernel that refuses (a container without CAP_SYS_NICE, a kernel
// without NUMA) is reported in the result as an errno value and ends nothing: a pipeline that is placed worse
// than planned still works, and its Report says so.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <sys/types.h>

#include <sluice/pinning/place.hpp>

namespace sluice::pinning {

// 0 stands for success, or for nothing asked.
struct ProcessBinding {
  int affinity_error = 0;
  int memory_error = 0;

  bool complete() const noexcept { return affinity_error == 0 && memory_error == 0; }
};

// Binds the calling thread, and with it every thread and process that it starts later, to the units of the
// place; where the place has a NUMA node, memory is taken from there while there is some. A place without a
// node leaves the memory policy as it was inherited. Two system calls, no allocation: a replacement calls it
// right after the fork, before anything else.
ProcessBinding bind_this_process(const Place& place) noexcept;

enum class Strictness {
  preferred,  // Other nodes help out when this one is full.
  bound,      // This node or none: touching a page fails, by SIGBUS or the OOM killer, when it is full.
};

struct MemoryBinding {
  int error = 0;          // Of mbind, or of reading the policy back; 0 for success.
  int granted_node = -1;  // What the kernel now says of this memory; -1 if it follows no single node.
};

// Binds a mapping to a node before its first touch; pages that are there already stay where they are. For
// shared memory the policy belongs to the object: it holds for every process that maps it. `memory` must
// start on a page (else EINVAL); its end is rounded up to one.
MemoryBinding bind_memory(std::span<const std::byte> memory, int numa_node,
                          Strictness strictness = Strictness::preferred) noexcept;

// As bind_memory(), preferred, and the pages that are there go to the node as well, as far as this process has mapped them. 0, or
// an errno value: EPERM where other processes have them mapped, too, and this one has no CAP_SYS_NICE; EIO where
// some stay, since they are in use at this moment or the node has no room.
int move_memory(std::span<const std::byte> memory, int numa_node) noexcept;

struct Whereabouts {
  std::map<int, std::size_t> pages_on_node{};
  std::size_t absent_pages = 0;  // Not mapped by this process yet: untouched here, even if touched elsewhere.
  int error = 0;                 // Of move_pages; the counts are then incomplete.

  std::size_t present_pages() const noexcept;
};

// Asks page by page where the memory really is. For set-up and reports: it takes a system call for every 1024
// pages.
Whereabouts where_is(std::span<const std::byte> memory);

// The units that the kernel grants a process now (0: the calling thread). Throws sluice::Error, for instance
// because there is no such process.
CpuSet current_units(pid_t pid = 0);

}  // namespace sluice::pinning
