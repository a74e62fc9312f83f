// Priority: the master, and a replacement until it is at work, go before the workers.
//
// On a machine whose cores are all busy the master would otherwise wait for its turn behind the very workers
// it watches: a killed worker was replaced in half the time with this. Never real-time: a process that hangs
// must not take a core for good.
#pragma once

namespace sluice {

// A shorter slice, which the scheduler lets go first when it wakes (Linux 6.12), and where the process may, a
// lower nice value. What the kernel refuses is left as it is: it costs time, not correctness.
void hurry() noexcept;
// How a worker shares its processing unit, if at all.
enum class Sharing { alone, interrupting, in_turns };

// Back to what the process that called hurry() had before, in a child of it; with all threads that the child
// has started meanwhile.
// In a shared place it keeps a slice below the system's: the others get their turn sooner, the dying among
// them, and it costs no throughput that could be measured. In turns it interrupts nobody when it is woken
// (SCHED_BATCH): a consumer that takes the unit from its producer for every batch costs both of them.
void take_ease(Sharing sharing) noexcept;

}  // namespace sluice
