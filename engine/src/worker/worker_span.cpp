// SPDX-License-Identifier: Apache-2.0
// How the worker loop hands events to the handler: one by one in a loop of the runner's, or many at once.
//
// A handler that takes spans is called with what is there, as far as the batch goes. To the loop a span is what one event
// is to others: what comes before it can be committed without it, and what it did is taken back as a whole.
#include <algorithm>

#include "state/oversize.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

// Hands the events of one lane to the handler, up to `limit`; how many it had.
std::uint64_t WorkerLoop::handle_events(std::size_t index, std::uint64_t limit) {
  InLane& input = in_[index];
  if (input.ended) return 0;
  looked_at_.push_back(index);
  std::uint64_t handled = 0;
  const auto lane = static_cast<std::uint32_t>(index);
  if (poison_.any()) {
    if (input.lane.at_stop() || poison_.is_written(lane, input.lane)) {
      if (has_flushes()) return divert_alone(index);
      divert(index);
      ++handled;
      // What follows may have its letter, too.
      if (handled >= limit || poison_.is_written(lane, input.lane)) return handled;
    }
    limit = handled + poison_.until_written(lane, input.lane, limit - handled);
  }
  if (input.lane.readable() == 0) return handled;
  set_activity(ipc::Activity::busy);
  note_first_event();
  in_.touch(input);  // Before the handler runs: it may have to commit in the midst of the batch.
  const bool spans = takes_spans_;
  if (!spans && (!has_flushes() || out_.leads_nowhere())) {
    handled += consume(input, lane, limit - handled);
    return handled + consume_the_rest(input, lane, limit - handled);
  }
  // There is a look at the room between two events: a stage with flushes cannot be committed in the midst of one.
  while (handled < limit && !batch_ends_ && work_.batch_goes_on() &&
         (handled == 0 || has_room_for_an_event())) {
    const std::uint64_t most = spans ? limit_of_span(limit - handled) : 1;
    const std::uint64_t consumed = consume(input, lane, most);
    handled += consumed;
    if (consumed == 0 || (waiter_.gathers() && !input.lane.knows_more())) break;
  }
  return handled;
}

// Behind what a look has found: who shares its place sleeps once it finds nothing, and a short batch is dear, so that it takes along what
// has come meanwhile. An event that is to be timed begins a batch.
std::uint64_t WorkerLoop::consume_the_rest(InLane& input, std::uint32_t lane, std::uint64_t limit) {
  std::uint64_t handled = 0;
  while (!waiter_.gathers() && handled < limit && work_.batch_goes_on() && input.lane.readable() != 0 &&
         !input.comes_to_stamp()) {
    const std::uint64_t consumed = runner_->consume(input.lane, lane, limit - handled, work_);
    if (consumed == 0) break;
    handled += consumed;
  }
  return handled;
}

// While some events are suspect: not more than may be handed out at once, as the last of a batch.
std::uint64_t WorkerLoop::limit_of_span(std::uint64_t limit) noexcept {
  if (!suspects_.any()) return limit;
  const std::size_t lane = suspects_.lane();
  // What a predecessor out of order has left may end anywhere; a span lies within the lane.
  const auto under_way = [this](const ipc::LaneConsumer& input) {
    return input.next() < suspects_.end() && suspects_.end() - input.next() <= input.capacity_bytes();
  };
  if (lane >= in_.size() || !under_way(in_[lane].lane)) {
    suspects_.clear();
    return limit;
  }
  batch_ends_ = true;
  return std::min<std::uint64_t>(limit, suspects_.most());
}

// From here on its batches are spans: no other way than theirs may be taken, or a death in one would never be cut in halves.
void WorkerLoop::widen(unsigned threads) {
  if (!runner_) return;
  runner_->widen(threads);
  takes_spans_ = runner_->takes_spans();
  plain_ = is_plain();
}

bool WorkerLoop::cut_span() noexcept {
  return work_.span() > 1 && suspects_.cut();
}

void WorkerLoop::give_up_for_now(bool again) {
  give_up(again);
  if (again) throw DoAgain{};
}

// While what the handler threw is handled: it goes on, unless the event is done again.
void WorkerLoop::give_up_what_threw() {
  // Whatever has come out: the handler may have made it of that Error.
  if (area_.undo_full_for() == log_.event()) {
    area_.note_undo_full_told();
    give_up_for_now(shares_the_undo_log() || cut_span());
    throw;
  }
  try {
    throw;
  } catch (const Oversize&) {
    give_up_for_now(cut_span());
    throw;
  } catch (const Refused& refused) {
    give_up_for_now(refused.events().empty() && cut_span());
    throw;
  } catch (...) {
    give_up(false);
    throw;
  }
}

}  // namespace sluice::detail
