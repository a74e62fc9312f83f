// SPDX-License-Identifier: Apache-2.0
// What somebody writes who needs none of it: two threads of one process, a ring of their own in each direction. Nothing
// survives the death of either.
#pragma once

#include <cstring>
#include <memory>

#include "bare_ring.hpp"
#include "peer.hpp"
#include "user/exchange.hpp"

namespace sluice::bench {

inline constexpr std::size_t kThreadSlots = 1024;  // As lanes have them, unless told otherwise.
inline constexpr std::size_t kMostInAPoll = 1024;  // As Outlet::poll().

template <class Event>
class ThreadRing {
 public:
  BareMemory memory() noexcept { return {&tail_, &head_, slots_.get(), kThreadSlots}; }

 private:
  alignas(kBareCursorsApart) std::atomic<std::uint64_t> tail_{0};
  alignas(kBareCursorsApart) std::atomic<std::uint64_t> head_{0};
  std::unique_ptr<std::byte[]> slots_{new std::byte[kThreadSlots * sizeof(Event)]()};
};

template <class Event>
class ThreadSide {
 public:
  ThreadSide(ThreadRing<Event>& out, ThreadRing<Event>& in)
      : producer_{out.memory()}, consumer_{in.memory()} {}

  std::size_t push(std::span<const Event> events) noexcept {
    std::size_t took = 0;
    for (; took < events.size(); ++took) {
      std::byte* slot = producer_.reserve();
      if (slot == nullptr) break;
      std::memcpy(slot, &events[took], sizeof(Event));
      producer_.advance();
    }
    if (took != 0) producer_.publish();
    return took;
  }
  template <class Take>
  std::size_t poll(Take&& take) {
    std::size_t took = 0;
    for (; took < kMostInAPoll; ++took) {
      const std::byte* slot = consumer_.peek();
      if (slot == nullptr) break;
      Event event{};
      std::memcpy(&event, slot, sizeof(Event));
      take(event);
      consumer_.advance();
    }
    if (took != 0) consumer_.publish();
    return took;
  }

 private:
  BareProducer<sizeof(Event)> producer_;
  BareConsumer<sizeof(Event)> consumer_;
};

// The worker's part: hands on what it gets, until it has handed on `events`.
template <class Event, class Side>
void pass_on_all(Side& side, std::uint64_t events) {
  std::uint64_t passed = 0;
  while (passed < events) {
    wait_until([&] {
      return side.poll([&](const Event& event) {
        wait_until([&] { return side.push({&event, 1}) != 0; });
        ++passed;
      }) != 0;
    });
  }
}

template <class Event, class Work>
int between_threads(std::uint64_t events, Work&& work) {
  ThreadRing<Event> there;
  ThreadRing<Event> back;
  pin(0);
  const Peer peer{Apart::threads, 1, [&] {
                    ThreadSide<Event> side{back, there};
                    pass_on_all<Event>(side, events);
                  }};
  ThreadSide<Event> side{there, back};
  work(side);
  return 0;
}

template <class Event>
int push_poll_by_threads(const Traffic& traffic) {
  return between_threads<Event>(traffic.events,
                                [&traffic](auto& side) { there_and_back<Event>(side, traffic); });
}

template <class Event>
int round_trips_by_threads(std::uint64_t events, Histogram& times) {
  return between_threads<Event>(events, [&](auto& side) { round_trips<Event>(side, events, times); });
}

// One way, from the calling thread to another or the other way round.
template <class Event>
int one_way_by_threads(const Traffic& traffic, bool host_pushes) {
  ThreadRing<Event> ring;
  ThreadRing<Event> unused;
  const auto push_all = [&] {
    ThreadSide<Event> side{ring, unused};
    for (Numbered<Event> events{traffic}; !events.all();) {
      std::size_t took = 0;
      wait_until([&] { return (took = side.push(events.next())) != 0; });
      events.took(took);
    }
  };
  const auto poll_all = [&] {
    ThreadSide<Event> side{unused, ring};
    std::uint64_t events = 0;
    std::uint64_t sum = 0;
    wait_until([&] {
      events += side.poll([&sum](const Event& event) { sum += event.words[0]; });
      return events == traffic.events;
    });
    told().end(events, sum);
  };
  pin(0);
  told().begin();
  const Peer peer{Apart::threads, 1, host_pushes ? std::function<void()>{poll_all} : push_all};
  if (host_pushes) {
    push_all();
  } else {
    poll_all();
  }
  return 0;
}

}  // namespace sluice::bench
