// SPDX-License-Identifier: Apache-2.0
// How the worker loop moves events to the dead letters, and retries those of an earlier run.
#include <sluice/error.hpp>

#include "worker/worker_loop.hpp"

namespace sluice::detail {

// Whether there is a file for the letter that the last commit knows. What makes one is no event: the commit of this
// batch tells of it, and the next batch comes here again.
bool WorkerLoop::letter_file_ready() {
  if (poison_.file_ready()) return true;
  work_.count_no_input();
  return false;
}

// In a stage with flushes a dead letter is a batch of its own. With others it would be covered by what the flush keeps
// outside: a replacement that has not heard of the refusal would take the event for one that has had its effect.
std::uint64_t WorkerLoop::divert_alone(std::size_t index) {
  batch_ends_ = true;
  if (events_in_batch() != 0) return 0;
  divert(index);
  return 1;
}

// The event takes effect as a dead letter, like any other event: with the commit of its batch.
void WorkerLoop::divert(std::size_t index) {
  InLane& input = in_[index];
  set_activity(ipc::Activity::busy);
  in_.touch(input);
  work_.enter_lane(static_cast<std::uint32_t>(index));
  work_.begin_event(input.lane.next());
  const auto lane = static_cast<std::uint32_t>(index);
  if (poison_.is_written(lane, input.lane)) {
    poison_.pass_written(lane, input.lane);
  } else {
    if (!letter_file_ready()) return;
    poison_.divert(lane, input.lane);
  }
  ++dead_letters_;
}

// Not handled yet, as far as this worker has committed.
bool WorkerLoop::is_to_come(const EventId& event) noexcept {
  if (event.lane() == kRetryLane)
    // relaxed: own word.
    return event.position >= Retry::position_of(memory_.cursors()[kRetried].load(std::memory_order_relaxed));
  return event.lane() < in_.size() && event.position >= in_[event.lane()].lane.next();
}

// A batch of its own for each: they are few.
std::uint64_t WorkerLoop::retry_letter() {
  set_activity(ipc::Activity::busy);
  note_first_event();
  if (retry_->is_superseded()) {
    work_.enter_lane(kRetryLane);
    work_.begin_event(retry_->position());
  } else if (poison_.is_written(retry_->position(), retry_->letter())) {
    work_.enter_lane(kRetryLane);
    work_.begin_event(retry_->position());
    ++dead_letters_;
  } else if (poison_.forbids(kRetryLane, retry_->position())) {
    work_.enter_lane(kRetryLane);
    work_.begin_event(retry_->position());
    if (!letter_file_ready()) return 1;
    poison_.divert_again(kRetryLane, retry_->position(), retry_->letter());
    ++dead_letters_;
  } else {
    ipc::LaneConsumer letter = retry_->present();
    if (runner_->consume(letter, kRetryLane, 1, work_) != 1) {
      throw Error{{"retry a dead letter of stage", node_.name, "its event cannot be read",
                   "retry letters that a pipeline wrote"}};
    }
  }
  retry_->pass();
  return 1;
}

}  // namespace sluice::detail
