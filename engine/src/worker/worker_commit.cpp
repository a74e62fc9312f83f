// SPDX-License-Identifier: Apache-2.0
// How the worker loop publishes: what a commit takes along, whom it rings, and what it does about a full
// lane.

#include <algorithm>

#include "death/children.hpp"
#include "worker/stand_still.hpp"
#include "worker/worker_access.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

bool WorkerLoop::anything_to_commit() const noexcept {
  return out_.touched() || in_.touched() || log_.tail() != 0 || finished_ ||
         work_.events_in() != committed_in_ || last_words_ != committed_last_words_;
}

// `whole`: with the event in the handler. Inlined: of a batch of one it is the larger part.
[[gnu::always_inline]] inline void WorkerLoop::store(bool whole) {
  // Before the ends of the lanes: who sees those sees how it came to them.
  if (finished_) commit_.move(kFinished, interrupted() ? kCutShort : kCameToItsEnd);
  out_.record(commit_, whole);
  in_.record(commit_);
  committed_in_ = whole ? work_.events_in() : work_.events_before();
  // In the midst of a portion it is not counted yet: it is when finish() returns.
  if (last_words_ != committed_last_words_)
    commit_.move(kLastWords, last_words_ | (cut_short_ ? kSaidCutShort : 0));
  committed_last_words_ = last_words_;
  commit_.move(kEventsIn, committed_in_);
  commit_.move(kEventsOut, out_.published());
  if (poison_.any()) commit_.move(kDeadLetters, dead_letters_);
  if (retry_) commit_.move(kRetried, retry_->done());
  if (whole) {
    commit_.commit();
  } else {
    commit_.commit(log_.before_event());
  }
  ipc::Published published;
  const std::uint64_t rings = out_.ring(published, whole) + in_.ring(published, whole);
  if (rings != 0) memory_.counters().rings.add(rings);
}

void WorkerLoop::store_commit(bool whole) {
  store(whole);
}

void WorkerLoop::commit_batch(bool without_event) {
  if (!anything_to_commit()) return;
  if (undo_asked_) throw DoAgain{};
  refuse_what_was_not_noted(without_event);
  // Before anything reaches the outside.
  if (is_child_of_worker()) end_child();
  const std::uint64_t events = events_in_batch();
  WorkerAccess::act_before_any_commit(*worker_);
  const bool flushes = has_flushes();
  if (flushes) [[unlikely]] {
    flush_batch();
    refuse_what_was_not_noted(without_event);
  }
  store(true);
  if (flushes || one_by_one_ != 0) [[unlikely]]
    note_flushed(events);
  memory_.counters().batches.add();
  if (worker_ != nullptr && WorkerAccess::acts_after_commits(*worker_)) {
    // One that was given up stays named: it is what its batch fails of.
    if (!without_event) work_.leave_event();
    WorkerAccess::act_after_commit(*worker_, true);
  }
  if (events != 0) has_committed_ = true;
}

// All that is not committed, each event in a batch of its own: by a new loop, which finds the word.
void WorkerLoop::do_again_one_by_one() {
  const std::uint64_t events = std::max<std::uint64_t>(events_in_batch(), 1);
  memory_.control().outside.flushing.store(events, std::memory_order_relaxed);  // relaxed: own word.
  undo_asked_ = true;
  throw DoAgain{};
}

// An event found the undo log full, and its handler did not let the Error out. What it was to change is unchanged, for want of
// room that the events before it may have taken: alone it has all of it. One that has is refused, as if the Error had come out.
void WorkerLoop::refuse_what_was_not_noted(bool without_event) {
  if (area_.undo_full_for() == 0) [[likely]]
    return;
  if (one_by_one_ == 0 || without_event) do_again_one_by_one();
  area_.tell_undo_full();
}

// A commit in the midst of an event: of the events before it.
void WorkerLoop::publish_before_event() {
  if (work_.events_before() == committed_in_ && !out_.had_pushed()) return;
  // The flush would come in the midst of the event. Alone it has the whole lane.
  if (has_flushes() || area_.undo_full_for() != 0) do_again_one_by_one();
  if (is_child_of_worker()) end_child();
  WorkerAccess::act_before_any_commit(*worker_);
  const bool further = work_.events_before() != committed_in_;
  store(false);
  memory_.counters().split_commits.add();
  WorkerAccess::act_after_commit(*worker_, false);
  if (further) has_committed_ = true;
}

// The host would take what this lane carries, and is dead. Of a pipeline that is kept the next host takes it:
// it is parked then. Of another no process ever makes room.
bool WorkerLoop::gives_up(const OutLane& out) const noexcept {
  if (wiring_.node(out.node).kind != NodeKind::outlet || !host_gone(master_)) return false;
  if (!wiring_.kept()) return true;
  std::atomic<std::uint64_t>& word = memory_.control().standing;
  // relaxed: the word says all there is to say.
  if (word.load(std::memory_order_relaxed) != kWaitsForTheNextHost) {
    word.store(kWaitsForTheNextHost, std::memory_order_relaxed);
    wiring_.bell(kMasterProcess).ring();
  }
  return false;
}

void WorkerLoop::lost(Lost why) noexcept {
  if (why == Lost::shed) memory_.counters().shed.add();
  if (why == Lost::dropped || why == Lost::given_up) memory_.counters().dropped.add();
}

bool WorkerLoop::wait_for_room(OutLane& lane, const std::function<bool()>& ready) {
  // relaxed: a claim, for a host that asks why it waits.
  memory_.control().awaited_lane.store(lane.id.value() + 1, std::memory_order_relaxed);
  set_activity(ipc::Activity::full);
  memory_.counters().full_waits.add();
  const std::chrono::nanoseconds since = timing_ ? monotonic_now() : std::chrono::nanoseconds{0};
  const auto ready_or_asked = [&] { return asked_to_stand() || tellings_.due() || ready(); };
  do {
    // What was done before this event is committed.
    if (asked_to_stand()) {
      stand_still();
      set_activity(ipc::Activity::full);
    }
    note_woken(waiter_.wait_until(ready_or_asked, kLongestWait));
    tellings_.tell();
  } while (asked_to_stand() || !ready());
  if (timing_) held_up_ += monotonic_now() - since;
  set_activity(ipc::Activity::busy);
  memory_.control().awaited_lane.store(0, std::memory_order_relaxed);
  return true;
}

void WorkerLoop::wait_briefly(const std::function<bool()>& ready, std::chrono::nanoseconds limit) {
  waiter_.wait_briefly([&] { return asked_to_stand() || ready(); }, limit);
}

// It goes no further before that: it is not kept waiting for a checkpoint that is due some time.
void WorkerLoop::await_checkpoint() noexcept {
  std::atomic<std::uint64_t>& awaited = memory_.control().awaited_commits;
  // relaxed: the master looks again and again; own word.
  if (awaited.load(std::memory_order_relaxed) == tellings_.awaited()) return;
  awaited.store(tellings_.awaited(), std::memory_order_relaxed);
  wiring_.bell(kMasterProcess).ring();
}

bool WorkerLoop::tells_first() {
  tellings_.tell();
  // Before the last word, too: the handler may have to say goodbye to those that it has told.
  const bool first = !tellings_.none() && (finished_ || input_ended_);
  if (first || tellings_.too_many()) await_checkpoint();
  return first;
}

void WorkerLoop::stand_still() {
  // One that has ended in a former life has no handler.
  if (worker_ != nullptr) write_out_what_was_printed();
  detail::stand_still(wiring_, index_,
                      [this](const auto& released) { waiter_.wait_until(released, kLongestWait); });
}

void WorkerLoop::ring_neighbours() {
  out_.ring_all();
  in_.ring_all();
}

}  // namespace sluice::detail
