// SPDX-License-Identifier: Apache-2.0
// Whether a push waits for its own thread: the lane is full since an outlet is (ports/full_outlet.hpp), and no other thread
// than the pushing one pulls from that.
#pragma once

#include <optional>

#include "ports/full_outlet.hpp"

namespace sluice::detail {

class Host;

// What the calling thread is: as good as a number, and quicker to have. Of threads that live at the same time.
inline const void* this_thread() noexcept {
  static thread_local const char mark = 0;
  return &mark;
}

// The outlet that the full lane `lane` waits for, if it is the calling thread's own: the last that used it, or, when
// none has, the only one that there is. Ask twice.
std::optional<FullOutlet> own_outlet_behind(Host& host, LaneIndex lane);

}  // namespace sluice::detail
