// SPDX-License-Identifier: Apache-2.0
// What a program does with any of the ways: hand events over, and take back what has become of them.
//
// A way's near side has `std::size_t push(std::span<const Load>)`, which takes as many as there is room for and says how
// many, and `std::size_t poll(take)`, which calls `take(const Load&)` with what is there; neither blocks. A loop that can
// do nothing asks again, as all the ways' loops do.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>

#include "child_run.hpp"
#include "histogram.hpp"
#include "waiting.hpp"

namespace sluice::bench {

// The first word is the event's number.
template <std::size_t kBytes>
struct Load {
  std::array<std::uint64_t, kBytes / sizeof(std::uint64_t)> words;
};

struct Traffic {
  std::uint64_t events;
  std::size_t batch;  // Events of one push: 1, or up to kMostAtOnce.
};
inline constexpr std::size_t kMostAtOnce = 32;

inline std::uint64_t sum_of_numbers(std::uint64_t events) noexcept {
  return events * (events - 1) / 2;
}

// Events in the order of their numbers, a batch at a time.
template <class Event>
class Numbered {
 public:
  explicit Numbered(const Traffic& traffic) : traffic_{traffic} {}

  std::span<const Event> next() noexcept {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(traffic_.batch, traffic_.events - given_));
    for (std::size_t i = 0; i < count; ++i)
      block_[i].words[0] = given_ + i;
    return {block_.data(), count};
  }
  void took(std::size_t count) noexcept { given_ += count; }
  bool all() const noexcept { return given_ >= traffic_.events; }

 private:
  Traffic traffic_;
  std::uint64_t given_ = 0;
  std::array<Event, kMostAtOnce> block_{};
};

// One thread pushes all, and polls what comes back meanwhile.
template <class Event, class Side>
void there_and_back(Side& side, const Traffic& traffic) {
  constexpr std::size_t kBetweenPolls = 256;
  Numbered<Event> events{traffic};
  std::uint64_t back = 0;
  std::uint64_t sum = 0;
  told().begin();
  wait_until([&] {
    for (std::size_t pushed = 0; pushed < kBetweenPolls && !events.all();) {
      const std::size_t took = side.push(events.next());
      if (took == 0) break;
      events.took(took);
      pushed += took;
    }
    back += side.poll([&sum](const Event& event) { sum += event.words[0]; });
    return back == traffic.events;
  });
  told().end(back, sum);
}

// One event at a time.
template <class Event, class Side>
void round_trips(Side& side, std::uint64_t events, Histogram& times) {
  Numbered<Event> numbered{{events, 1}};
  std::uint64_t sum = 0;
  told().begin();
  for (std::uint64_t i = 0; i < events; ++i) {
    const auto start = std::chrono::steady_clock::now();
    wait_until([&] { return side.push(numbered.next()) != 0; });
    numbered.took(1);
    wait_until([&] { return side.poll([&sum](const Event& event) { sum += event.words[0]; }) != 0; });
    times.add(std::chrono::steady_clock::now() - start);
  }
  told().end(events, sum);
}

}  // namespace sluice::bench
