// SPDX-License-Identifier: Apache-2.0
// What ends a wait of Engine::wait_for() before its time: a signal that the program around the engine counts. Without this such
// a program hears of it once the wait is over only, and another host of a cluster waits meanwhile.
//
// Called by the thread that waits, which is the one that handles the signal, or late by as long as it would be without.
#pragma once

#include <csignal>

namespace sluice::detail {

// From here on a wait ends, with false, once `count` is another than at its beginning; nullptr: none does. It must outlive that.
void end_waits_by(const volatile std::sig_atomic_t* count) noexcept;

// For a handler that counts: false for one that says no more than the one before it, the same signal within 50 ms. timeout(1)
// sends its signal to the program and, right behind that, to its process group: whoever takes the second for another one
// stops what was asked to drain.
bool is_another_signal(int signal) noexcept;

}  // namespace sluice::detail
