// SPDX-License-Identifier: Apache-2.0
// A step of the worker loop: one batch, from the look at what is asked of the worker to its commit.
//
// The commonest batch is plain: of a stage that reads one lane, and of which nothing is asked but to hand its events to the
// handler and to commit. For it the worker looks at what may have changed since the last batch, and stores the commit from
// what it has in hand. What is out of the ordinary sends it the way that all other batches take, before the handler runs
// or behind it: handle_some() and conclude().
#include "death/children.hpp"
#include "worker/worker_access.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

WorkerLoop::Step WorkerLoop::step() {
  if (asked_to_stand() && !(finished_ && tellings_.none())) stand_still();
  if (come_in_stream_) waiter_.let_gather();
  if (plain_ && in_[0].lane.readable() != 0 && !in_[0].comes_to_stamp()) [[likely]]
    return step_plainly();
  if (!tellings_.none() && tells_first()) return Step::nothing;
  if (finished_) {
    // Also said by a process that finds everything done: its master tells by this word how it ended.
    set_activity(ipc::Activity::finished);
    return Step::finished;
  }
  looked_at_.clear();
  return conclude(handle_some());
}

std::uint64_t WorkerLoop::handle_some() {
  try {
    if (retry_) return retry_letter();
    if (!input_ended_) return node_.kind == NodeKind::source ? produce_batch() : consume_batch();
    set_activity(ipc::Activity::busy);
    say_last_word();
    return 1;
  } catch (...) {
    give_up_what_threw();
  }
}

WorkerLoop::Step WorkerLoop::conclude(std::uint64_t done) {
  done += note_ends();
  if (done == 0) act_when_idle();
  commit_batch();
  if (come_through_ != 0) [[unlikely]]
    time_the_whole_way();
  if (retry_ && !retry_->pending()) retry_.reset();
  if (finished_ && tellings_.none()) set_activity(ipc::Activity::finished);
  plain_ = is_plain();
  come_in_stream_ = node_.kind == NodeKind::stage && done > 1 && done < batch_events_;
  return done != 0 ? Step::worked : Step::nothing;
}

// No event is in the handler: none is to blame for what is thrown.
void WorkerLoop::act_when_idle() {
  if (node_.kind != NodeKind::stage || !WorkerAccess::acts_when_idle(*worker_)) return;
  work_.leave_event();
  set_activity(ipc::Activity::busy);
  WorkerAccess::act_when_idle(*worker_);
}

// Whether the next batch is one, as far as it can be known before. What the handler does may yet make it another.
bool WorkerLoop::is_plain() const noexcept {
  return node_.kind == NodeKind::stage && in_.size() == 1 && worker_ != nullptr && !finished_ &&
         !input_ended_ && !takes_spans_ && !poison_.any() && !retry_ && one_by_one_ == 0 &&
         tellings_.none() && !WorkerAccess::acts(*worker_);
}

// Whether it still is one, once it is handled.
bool WorkerLoop::was_plain(const InLane& in) const noexcept {
  return !in.lane.wants_care() && !host_gone(master_) && !in.is_shed() && out_.has_touched_one_at_most() &&
         !WorkerAccess::acts(*worker_) && area_.undo_full_for() == 0 && !is_child_of_worker();
}

[[gnu::always_inline]] inline WorkerLoop::Step WorkerLoop::step_plainly() {
  InLane& in = in_[0];
  set_activity(ipc::Activity::busy);
  note_first_event();
  in_.touch(in);  // Before the handler runs: it may have to commit in the midst of the batch.
  std::uint64_t done = 0;
  try {
    done = runner_->consume(in.lane, 0, batch_events_, work_);
    done += consume_the_rest(in, 0, batch_events_ - done);
  } catch (...) {
    give_up_what_threw();
  }
  if (!was_plain(in)) [[unlikely]] {
    looked_at_.assign(1, 0);
    return conclude(done);
  }
  store_plainly(in);
  come_in_stream_ = done > 1 && done < batch_events_;
  return done != 0 ? Step::worked : Step::nothing;
}

// As commit_batch(), with the same words in the same order.
[[gnu::always_inline]] inline void WorkerLoop::store_plainly(InLane& in) noexcept {
  using ipc::RedoEntry;
  const std::uint64_t events_in = work_.events_in();
  const RedoEntry head{in.word, in.lane.next()};
  const RedoEntry count_in{kEventsIn, events_in};
  OutLane* const out = out_.first_touched();
  if (out != nullptr) [[likely]] {
    const RedoEntry tail{out->word, out_.settle_all(*out)};
    commit_.commit_all(tail, head, count_in, RedoEntry{kEventsOut, out_.published()});
    out_.forget_touched(*out);
  } else {
    commit_.commit_all(head, count_in, RedoEntry{kEventsOut, out_.published()});
  }
  in_.forget_touched(in);
  ipc::Published published;
  std::uint64_t rings = 0;
  if (out != nullptr && published.sleeps(*out->consumer)) [[unlikely]] {
    out->bell->ring();
    ++rings;
  }
  if (published.sleeps(*in.producer)) [[unlikely]] {
    in.bell->ring();
    ++rings;
  }
  if (rings != 0) [[unlikely]]
    memory_.counters().rings.add(rings);
  memory_.counters().batches.add();
  if (events_in != committed_in_) has_committed_ = true;
  committed_in_ = events_in;
}

}  // namespace sluice::detail
