// SPDX-License-Identifier: Apache-2.0
// Whether a push waits for its own thread: the lane is full since the stage behind it waits for room, and so on to an
// outlet, which no other thread than the pushing one pulls from.
//
// Exact, since each worker says which lane it waits for: no worker on the way can go on before that thread pulls.
#pragma once

#include <cstdint>
#include <optional>

#include "layout/wiring.hpp"

namespace sluice::detail {

class Host;

// An outlet's lane that is full, and how far it was pulled.
struct FullOutlet {
  LaneIndex lane;
  std::uint64_t head = 0;

  friend bool operator==(const FullOutlet&, const FullOutlet&) noexcept = default;
};

// What the calling thread is: as good as a number, and quicker to have. Of threads that live at the same time.
inline const void* this_thread() noexcept {
  static thread_local const char mark = 0;
  return &mark;
}

// The outlet that the full lane `lane` waits for, if it is the calling thread's own: the last that used it, or, when
// none has, the only one that there is. The waits are looked at one by one: ask twice.
std::optional<FullOutlet> own_outlet_behind(Host& host, LaneIndex lane);

}  // namespace sluice::detail
