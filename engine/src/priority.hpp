// Priority: the master, and a replacement until its region is recovered, go before the workers.
//
// On a machine whose cores are all busy the master would otherwise wait for its turn behind the very workers it
// watches: a killed worker was replaced in half the time with this. Never real-time: a process that hangs must
// not take a core for good.
#pragma once

namespace sluice {

// A shorter slice, which the scheduler lets go first when it wakes (Linux 6.12), and where the process may, a
// lower nice value. What the kernel refuses is left as it is: it costs time, not correctness.
void hurry() noexcept;
// Back to what the process that called hurry() had before; also in a child of it.
void take_ease() noexcept;

}  // namespace sluice
