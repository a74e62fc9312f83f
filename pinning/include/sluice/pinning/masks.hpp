// SPDX-License-Identifier: Apache-2.0
// Affinity masks of fixed length: for a process that looks at others again and again and must not allocate.
//
// All functions give 0 or the errno value of the kernel's refusal, and none of them throws, blocks or allocates.
// Linux masks the units that are offline out of what it tells, so that such a unit is seen to be missing.
#pragma once

#include <array>
#include <cstddef>
#include <sys/types.h>

#include <sluice/pinning/cpu_set.hpp>

namespace sluice::pinning {

inline constexpr std::size_t kMaskWords = 32;  // 2048 units: more than any machine that Linux is sold with.
using Mask = std::array<CpuSet::Word, kMaskWords>;

// No unit for a set with one that is beyond the mask.
Mask mask_of(const CpuSet& units) noexcept;
CpuSet set_of(const Mask& mask);
bool is_empty(const Mask& mask) noexcept;
// Is every unit of `inner` in `outer`?
bool includes(const Mask& outer, const Mask& inner) noexcept;

// Of one thread; 0 for the calling one. EINVAL on a machine with more units than the mask has.
int read_mask(pid_t thread, Mask& found) noexcept;
int write_mask(pid_t thread, const Mask& asked) noexcept;

// The threads of a process that may run outside `asked` get it; those that keep themselves within it stay as they are.
// The first error, after all have been tried; a thread that has just ended is none.
int keep_threads_within(pid_t process, const Mask& asked) noexcept;

struct ThreadsKept {
  unsigned found = 0;  // Threads that had another mask,
  unsigned kept = 0;   // of which so many have `asked` now.
  Mask mask{};         // What one of them had.
  int error = 0;       // Why another has not.
};
// All threads of a process that keeps none for itself: each of them gets `asked`.
ThreadsKept keep_threads_at(pid_t process, const Mask& asked) noexcept;

// The units that the kernel would grant to the calling thread if it asked for all: cpuset and what is online. The
// thread's own mask is as before afterwards.
int read_grantable(Mask& found) noexcept;

}  // namespace sluice::pinning
