// SPDX-License-Identifier: Apache-2.0
#include "worker/refusals.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/error.hpp>

#include "death/words_of.hpp"
#include "layout/relaxed.hpp"
#include "worker/retry.hpp"

namespace sluice::detail {

// relaxed throughout: own words.

Refusals::Refusals(const Wiring& wiring, WorkerIndex worker)
    : wiring_{wiring}, worker_{worker}, memory_{wiring.worker(worker)} {}

void Refusals::add(const Refused& refused) {
  letters_.erase(std::remove_if(letters_.begin(), letters_.end(),
                                [this](const RefusedLetter& letter) { return done_with(letter.event); }),
                 letters_.end());
  std::atomic<std::uint64_t>& flushing = memory_.control().outside.flushing;
  if (!refused.events().empty()) {
    for (const RefusedEvent& event : refused.events())
      refuse_foreign(event);
    for (const RefusedEvent& event : refused.events())
      add({event.id.lane(), event.id.position}, words_of(event.why.c_str()));
    flushing.store(0, kRelaxed);  // Nothing is said against the others.
    return;
  }
  // A flush of several events names none: they are handled one by one (worker_flush.cpp), and the next call does.
  const std::optional<EventName> event = event_named(look_at(memory_.control().progress));
  const bool of_several = flushing.load(kRelaxed) > 1;
  if (event) {
    add(*event, words_of(refused));
  } else if (!of_several) {
    throw Error{{"go on with", memory_.name(), words_of(refused),
                 "no event was in the handler: mend what it reaches"}};
  }
}

// By mistake a handler may name an event of another stage, or one of another batch. Its letter would be about the wrong event.
void Refusals::refuse_foreign(const RefusedEvent& event) const {
  const ProcessLayout& layout = memory_.layout();
  const std::uint64_t run = wiring_.requests().run.load(kRelaxed);
  const std::uint64_t ours = origin_of(run, layout.node.value(), layout.replica);
  const std::uint32_t lane = event.id.lane();
  bool known = event.id.origin == (ours | lane);
  if (known && lane < layout.lanes_in.size()) {
    const std::uint64_t tail = wiring_.lane(layout.lanes_in[lane]).producer->tail.load(kRelaxed);
    known = event.id.position < tail && !done_with({lane, event.id.position});
  }
  if (known) return;
  throw Error{{"go on with", memory_.name(),
               fmt::format("its flush has refused the event {}, which is none of its batch ({})",
                           to_string(event.id), words_of(event.why.c_str())),
               "name the events of the batch, each by Worker::event_id() as it was in its handler"}};
}

void Refusals::add(const EventName& event, const std::string& why) {
  const bool movable = wiring_.settings(worker_).poison_attempts != 0 &&
                       wiring_.node(worker_).kind == NodeKind::stage &&
                       (event.lane < memory_.layout().lanes_in.size() || event.lane == kRetryLane);
  if (!movable) {
    throw Error{
        {"go on with", memory_.name(), why,
         "what was refused cannot become a dead letter: it is the call of a source or a last word, or "
         "poison.attempts is 0"}};
  }
  const RestartSettings& limits = wiring_.settings().restart;
  const std::chrono::nanoseconds now = monotonic_now();
  while (!times_.empty() && now - times_.front() >= limits.window)
    times_.pop_front();
  if (times_.size() >= limits.letter_budget) {
    throw Error{{"go on with", memory_.name(), why,
                 fmt::format("{} refused before it within restart.window: mend the other side, or raise "
                             "poison.budget",
                             counted(times_.size(), "event", "was", "were"))}};
  }
  times_.push_back(now);
  letters_.push_back({event, why});
}

bool Refusals::done_with(const EventName& event) const noexcept {
  const auto cursor = [this](std::uint64_t word) { return memory_.cursors()[word].load(kRelaxed); };
  if (event.lane == kRetryLane) return event.position < Retry::position_of(cursor(kRetried));
  const LaneLayout& lane = wiring_.layout().lanes[memory_.layout().lanes_in[event.lane]];
  return event.position < cursor(lane.consumer_word);
}

}  // namespace sluice::detail
