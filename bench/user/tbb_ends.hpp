// SPDX-License-Identifier: Apache-2.0
// Two threads and oneTBB's bounded queue in each direction.
#pragma once

#include <oneapi/tbb/concurrent_queue.h>

#include "peer.hpp"
#include "user/thread_ends.hpp"

namespace sluice::bench {

template <class Event>
class QueueSide {
 public:
  using Queue = tbb::concurrent_bounded_queue<Event>;
  QueueSide(Queue& out, Queue& in) noexcept : out_{out}, in_{in} {}

  std::size_t push(std::span<const Event> events) {
    std::size_t took = 0;
    while (took < events.size() && out_.try_push(events[took]))
      ++took;
    return took;
  }
  template <class Take>
  std::size_t poll(Take&& take) {
    std::size_t took = 0;
    for (Event event{}; took < kMostInAPoll && in_.try_pop(event); ++took)
      take(event);
    return took;
  }

 private:
  Queue& out_;
  Queue& in_;
};

template <class Event>
int push_poll_by_tbb(const Traffic& traffic) {
  typename QueueSide<Event>::Queue there;
  typename QueueSide<Event>::Queue back;
  there.set_capacity(kThreadSlots);
  back.set_capacity(kThreadSlots);
  pin(0);
  const Peer peer{Apart::threads, 1, [&] {
                    QueueSide<Event> side{back, there};
                    pass_on_all<Event>(side, traffic.events);
                  }};
  QueueSide<Event> side{there, back};
  there_and_back<Event>(side, traffic);
  return 0;
}

}  // namespace sluice::bench
