// SPDX-License-Identifier: Apache-2.0
// Scheduling: the master, and a replacement until it is at work, go before the workers.
//
// On a machine whose cores are all busy the master would otherwise wait for its turn behind the very workers
// it watches: a killed worker was replaced in half the time with this. Never real-time: a process that hangs
// must not take a core for good.
#pragma once

#include <cstdint>
#include <sched.h>

namespace sluice::detail {

// The first version of the kernel's struct sched_attr, which glibc does not declare. Source:
// sched_setattr(2).
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // For SCHED_OTHER and SCHED_BATCH the slice; 0: the system's.
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

// A shorter slice, which the scheduler lets go first when it wakes (Linux 6.12), and where the process may, a
// lower nice value. What the kernel refuses is left as it is: it costs time, not correctness.
void hurry() noexcept;
// The shorter slice alone: for who does little at a time and is waited for, and is asked by others, so that it must not take
// more than its share.
void wake_early() noexcept;
// How a worker shares its processing unit, if at all.
enum class Sharing { alone, interrupting, in_turns };

// Back to what the process that called hurry() had before, in a child of it; with all threads that the child
// has started meanwhile.
// In a shared place it keeps a slice below the system's: the others get their turn sooner, the dying among
// them, and it costs no throughput that could be measured. In turns it interrupts no other when it is woken
// (SCHED_BATCH): a consumer that takes the unit from its producer for every batch costs both of them.
void take_ease(Sharing sharing) noexcept;

}  // namespace sluice::detail
