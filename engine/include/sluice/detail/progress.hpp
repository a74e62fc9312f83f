// SPDX-License-Identifier: Apache-2.0
// Progress: which event a worker is in. The one place that knows how the words are written and read.
//
// The worker stores `event` before each event (Work::begin_event): one store. `lane` changes only between two lanes, `span`
// and `span_end` before a span, all of them only while `event` is 0 and names nothing (Work::enter_lane, begin_span):
//
//     event = 0      lane = 2      event = 4096 + 1      event = 4160 + 1 ...
//
// A process that dies leaves a prefix of its stores, so that after any of them the two words name the event in the
// handler or, for an instant in which no handler runs, nothing. That is what the master blames, once the death is
// confirmed, and what the replacement finds to divert. Who reads them while the worker runs may see words of two moments:
// the watchdog wants to know only whether they have changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <sluice/event_id.hpp>
#include <sluice/ipc/control.hpp>

namespace sluice::detail {

// The last two numbers of a lane stand for what came from none: a dead letter that is retried, and the last
// word.
inline constexpr std::uint32_t kRetryLane = EventId::kRetryLane;
inline constexpr std::uint32_t kLastWord = EventId::kLastWord;
inline constexpr std::size_t kMostLanesIn = kRetryLane;
inline constexpr std::size_t kMostReplicas = std::size_t{1} << EventId::kReplicaBits;
inline constexpr std::size_t kMostNodes = std::size_t{1} << EventId::kStageBits;

struct EventName {
  std::uint32_t lane = 0;
  std::uint64_t position = 0;

  friend bool operator==(const EventName&, const EventName&) = default;
};

// What stands for a position in a word where 0 is none. Positions are bytes: the last one is never reached.
constexpr std::uint64_t event_word(std::uint64_t position) noexcept {
  return position + 1;
}
constexpr std::optional<EventName> event_named(std::uint32_t lane, std::uint64_t word) noexcept {
  if (word == 0) return std::nullopt;
  return EventName{lane, word - 1};
}

// The words at one look.
struct ProgressSeen {
  std::uint64_t event = 0;
  std::uint64_t looks = 0;
  std::uint32_t lane = 0;
  std::uint32_t span = 1;
  std::uint64_t span_end = 0;

  friend bool operator==(const ProgressSeen&, const ProgressSeen&) = default;
};
inline ProgressSeen look_at(const ipc::Progress& progress) noexcept {
  // relaxed: see above.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  return {progress.event.load(kRelaxed), progress.looks.load(kRelaxed), progress.lane.load(kRelaxed),
          progress.span.load(kRelaxed), progress.span_end.load(kRelaxed)};
}
constexpr std::optional<EventName> event_named(const ProgressSeen& seen) noexcept {
  return event_named(seen.lane, seen.event);
}

// The part of an id that all events of a worker's lane share; the lane itself is added.
constexpr std::uint64_t origin_of(std::uint64_t run, std::size_t node, unsigned replica) noexcept {
  return run << (64U - EventId::kRunBits) |
         std::uint64_t{node} << (EventId::kReplicaBits + EventId::kLaneBits) |
         std::uint64_t{replica} << EventId::kLaneBits;
}

}  // namespace sluice::detail
