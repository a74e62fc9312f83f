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

}  // namespace sluice::detail
