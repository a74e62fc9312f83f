// SPDX-License-Identifier: Apache-2.0
// Who died for memory: the kernel's count of kills in the cgroup that the calling process belongs to.
//
// Used by the master, to tell an out-of-memory kill from any other SIGKILL. Reads one small file.
#pragma once

#include <cstdint>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class MemoryEvents {
 public:
  // Finds the count of this process's memory cgroup, version 2 or 1. Where there is none, no process is
  // killed as far as it knows.
  MemoryEvents();

  // True when a process was, since the last call.
  bool somebody_was_killed() noexcept;

 private:
  std::uint64_t read_count() const noexcept;

  Descriptor file_;
  std::uint64_t seen_ = 0;
};

}  // namespace sluice::detail
