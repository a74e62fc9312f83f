// SPDX-License-Identifier: Apache-2.0
// Refusals: the events of a worker that the outside has refused (sluice::Refused) and that are on their way to the dead
// letters.
//
// Used by the worker process, which gives its loop up and makes a new one that moves them. They are remembered by this
// process alone: a replacement that does such an event again hears of it again.
#pragma once

#include <chrono>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include <sluice/refused.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

struct RefusedLetter {
  EventName event;
  std::string why;
};

class Refusals {
 public:
  Refusals(const Wiring& wiring, WorkerIndex worker);

  // The loop has given its batch up because of this. Throws Error when there is no event that can be moved, or there were
  // too many.
  void add(const Refused& refused);
  // Those that are not done with.
  std::span<const RefusedLetter> letters() const noexcept { return letters_; }

 private:
  void refuse_foreign(const RefusedEvent& event) const;
  void add(const EventName& event, const std::string& why);
  bool done_with(const EventName& event) const noexcept;

  const Wiring& wiring_;
  WorkerIndex worker_;
  WorkerMemory memory_;
  std::deque<std::chrono::nanoseconds> times_;  // Of the latest, within restart.window.
  std::vector<RefusedLetter> letters_;
};

}  // namespace sluice::detail
