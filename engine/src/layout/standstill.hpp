// SPDX-License-Identifier: Apache-2.0
// To stand still at the next commit: what the master asks of all workers at once, when the segment is to be
// left, or copied, as a whole.
//
//     master                                    worker
//     asks: makes the number odd, rings all     at its next commit, or when it waits for room in the midst of an
//                                                event with all events before that committed:
//                                                says the number and who it is, rings the master
//     reached: all that have a process say so   does nothing but wait
//     releases: makes it even, rings all        goes on where it was
//     or ends: kills all                        the next life goes on there
//
// A worker that stands still has committed all that it has handled: its state, its heads and its tails belong
// together, and what the event in its hands has changed, if there is one, its undo log takes back. While all
// of them stand, no word of a worker's region changes.
//
// A worker that dies meanwhile is replaced, and its replacement stands still at its first step, since the
// number is in the master's region and outlives masters, too; unless the pipeline is being parked.
#pragma once

#include <atomic>
#include <cstdint>
#include <sys/types.h>

#include "layout/control_plane.hpp"

namespace sluice::detail {

constexpr bool asks_to_stand(std::uint32_t standstill) noexcept {
  return standstill % 2 != 0;
}

// Worker, between its commits: the number to stand still for, even when there is none.
inline std::uint32_t standstill_of(const MasterRegister& master) noexcept {
  // [stand.released] acquire: who went on reads what was there before it; pairs with Standstill::release().
  return master.standstill.load(std::memory_order_acquire);
}

// What a worker's process says when it has reached the standstill.
constexpr std::uint64_t standing_word(std::uint32_t standstill, pid_t process) noexcept {
  return std::uint64_t{standstill} << 32U | static_cast<std::uint32_t>(process);
}

// What it says when it can go on only if another host comes: it waits for room in a lane of the dead one's.
inline constexpr std::uint64_t kWaitsForTheNextHost = ~std::uint64_t{0};

}  // namespace sluice::detail
