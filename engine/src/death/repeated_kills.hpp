// SPDX-License-Identifier: Apache-2.0
// Kills from outside that are an event's own doing: a handler that sends its process SIGKILL, sets
// itself a limit of processor time, or is killed by its own child, and the kernel's want of memory where no cgroup counts it. One such
// death looks like an operator's kill, and blames nobody. So many in a row, all in the same event and none elsewhere, are no operator's.
//
// Used by the master, one for each worker. Pure. A new master begins to count anew.
#pragma once

#include <cstdint>
#include <optional>

namespace sluice::detail {

inline constexpr unsigned kKillsInARow = 32;

// Events of one lane: from the position of the first to the position behind the last; or what else has such numbers.
struct EventsInHand {
  std::uint32_t lane = 0;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

class RepeatedKills {
 public:
  // A death from outside, with these events in the handler; nothing for none. Whether it is the events' own doing. A span
  // or a batch that was found so is cut into parts until the event stands alone: each death in these counts on.
  bool are_own_doing(const std::optional<EventsInHand>& in_hand) noexcept;

 private:
  EventsInHand events_;
  unsigned kills_ = 0;  // In a row, all in these events.
};

}  // namespace sluice::detail
