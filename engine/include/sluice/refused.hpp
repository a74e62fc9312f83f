// SPDX-License-Identifier: Apache-2.0
// Refused: what a handler or a flush throws when the outside refuses an event for good: a constraint that it violates, a
// message that the other side finds too large.
//
// The event is at fault, and trying again is of no use: it becomes a dead letter at once, with what() as its cause. No
// process dies, poison.attempts is not counted up, the rest of the batch takes effect without it. More than poison.budget of them
// within restart.window, of one worker, end the pipeline with the last text, since then it is not the events. Where events are
// no dead letters (poison.attempts=0, a source's call, a last word) it ends the pipeline too; run_inline lets it through.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sluice/event_id.hpp>

namespace sluice {

// An event of the batch that a flush covers, and what the other side says about it.
struct RefusedEvent {
  EventId id;
  std::string why;
};

class Refused : public std::runtime_error {
 public:
  // The event in the handler. From a flush of several events it says that one of them is refused, not which one: they are
  // handled again one by one.
  explicit Refused(const std::string& why) : std::runtime_error{why} {}
  // From a flush: these events of its batch, at least one.
  explicit Refused(std::vector<RefusedEvent> events)
      : std::runtime_error{events.empty() ? std::string{"an event was refused"} : events.front().why},
        events_{std::move(events)} {}

  const std::vector<RefusedEvent>& events() const noexcept { return events_; }

 private:
  std::vector<RefusedEvent> events_;
};

}  // namespace sluice
