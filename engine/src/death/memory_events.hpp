// SPDX-License-Identifier: Apache-2.0
// Who died for memory: the kernel's count of kills in the cgroup that the calling process belongs to.
//
// Used by the master, to tell an out-of-memory kill from any other SIGKILL. Reads one small file.
#pragma once

#include <chrono>
#include <cstdint>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class MemoryEvents {
 public:
  // Finds the count of this process's memory cgroup, version 2 or 1. Where there is none, no process is
  // killed as far as it knows.
  MemoryEvents();
  // With a file of such a count.
  explicit MemoryEvents(Descriptor file);

  // Remembers when the count rises; to be called now and then.
  void look(std::chrono::nanoseconds now) noexcept;
  // Whether a worker that was born at `born` and has just been killed was killed for its memory: the count has
  // risen since then, not long ago, and by more than the deaths that it has explained already. A rise of any other
  // age was another process's death.
  bool explains_a_kill(std::chrono::nanoseconds born, std::chrono::nanoseconds now) noexcept;

 private:
  // The kernel counts a kill before the process, which may have much memory to give back, is dead.
  static constexpr std::chrono::nanoseconds kLongestDeath = std::chrono::seconds{5};

  std::uint64_t read_count() const noexcept;

  Descriptor file_;
  std::uint64_t seen_ = 0;
  std::uint64_t unexplained_ = 0;
  std::chrono::nanoseconds last_kill_{0};
};

}  // namespace sluice::detail
