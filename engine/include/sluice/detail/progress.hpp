// SPDX-License-Identifier: Apache-2.0
// The progress word: which event a worker is in. The one place that knows how it is made and read.
//
// A worker stores it before each event (Work::begin_event); the watchdog sees it change, the master blames
// the event that it names for a death, and the replacement finds the events there that it must not handle.
//
//   bits 63..48   the number of the lane among the worker's inputs, or kRetryLane or kLastWord
//   bits 47..0    the position of the event in that lane, plus 1: a word that is 0 names nothing
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::detail {

// The last two numbers of a lane stand for what came from none: a dead letter that is retried, and the last
// word.
inline constexpr std::size_t kMostLanesIn = 0xfffe;
inline constexpr std::uint32_t kRetryLane = 0xfffe;
inline constexpr std::uint32_t kLastWord = 0xffff;

inline constexpr unsigned kProgressLaneShift = 48;

struct EventName {
  std::uint32_t lane = 0;
  std::uint64_t position = 0;
};

constexpr std::uint64_t progress_word(EventName event) noexcept {
  return (std::uint64_t{event.lane} << kProgressLaneShift) + event.position + 1;
}
constexpr EventName event_named(std::uint64_t progress) noexcept {
  return {static_cast<std::uint32_t>(progress >> kProgressLaneShift),
          (progress & ((std::uint64_t{1} << kProgressLaneShift) - 1)) - 1};
}

}  // namespace sluice::detail
