// SPDX-License-Identifier: Apache-2.0
// The fan-out that Sluice and its peers do: one producer deals events to workers, each of which handles them
// and hands the results to one that gathers.
//
// Event, handler and result are the same for all, in 32-bit arithmetic so that JavaScript can do it too.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "child_run.hpp"

namespace sluice::bench {

inline constexpr unsigned kFanOutWorkers = 2;
inline constexpr std::uint32_t kStopWord = ~std::uint32_t{0};
inline constexpr std::size_t kPack = 32;  // Events in one write, where events are packed.

struct FanEvent {
  std::array<std::uint32_t, 16> words;  // The first is the event's number.
};
static_assert(sizeof(FanEvent) == 64 && std::is_trivially_copyable_v<FanEvent>);

struct FanResult {
  std::uint32_t number;
  std::uint32_t checksum;
};

inline void fill_fan_event(FanEvent& event, std::uint32_t number) noexcept {
  for (std::uint32_t i = 0; i < event.words.size(); ++i)
    event.words[i] = number + i * 0x9e3779b1U;
}
inline FanEvent make_fan_event(std::uint32_t number) noexcept {
  FanEvent event{};
  fill_fan_event(event, number);
  return event;
}

// The handler: light, so that what is measured is how events travel.
inline FanResult handle(const FanEvent& event) noexcept {
  std::uint32_t checksum = 0;
  for (std::uint32_t i = 0; i < event.words.size(); ++i)
    checksum += event.words[i] * (0x85ebca6bU + 2 * i);
  return {event.words[0], checksum};
}

// What the checksums of `events` events add up to.
inline std::uint64_t expected_sum(std::uint64_t events) noexcept {
  std::uint64_t sum = 0;
  for (std::uint64_t number = 0; number < events; ++number)
    sum += handle(make_fan_event(static_cast<std::uint32_t>(number))).checksum;
  return sum;
}

// A way to do it. `run` deals `events` events in the calling process and those that it forks, and says
// begin() and end() to told(); it returns the exit status.
struct FanOut {
  std::string name;  // "peer:pipe".
  std::uint64_t events;
  std::function<int(std::uint64_t events)> run;
};

// Every way that this build has; each file of this directory adds its own.
std::vector<FanOut>& fan_outs();
struct AddFanOut {
  explicit AddFanOut(FanOut way) { fan_outs().push_back(std::move(way)); }
};

}  // namespace sluice::bench
