// SPDX-License-Identifier: Apache-2.0
#include "death/repeated_kills.hpp"

namespace sluice::detail {

bool RepeatedKills::are_own_doing(const std::optional<EventsInHand>& in_hand) noexcept {
  if (!in_hand) {
    kills_ = 0;
    return false;
  }
  // One that has killed so often stands somewhere in what was in hand.
  const bool the_same =
      in_hand->lane == events_.lane &&
      (kills_ == kKillsInARow ? in_hand->first >= events_.first && in_hand->first < events_.end
                              : in_hand->first == events_.first);
  if (!the_same) kills_ = 0;
  // More may have come since, into the same batch or span.
  if (kills_ < kKillsInARow) events_ = *in_hand;
  if (kills_ < kKillsInARow) ++kills_;
  return kills_ == kKillsInARow;
}

}  // namespace sluice::detail
