// SPDX-License-Identifier: Apache-2.0
// How the worker loop publishes: what a commit takes along, whom it rings, and how room is made in a full
// lane.

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "worker/worker_loop.hpp"

namespace sluice::detail {

bool WorkerLoop::anything_to_commit() const noexcept {
  return !touched_.empty() || !touched_inputs_.empty() || log_.tail() != 0 || finished_ ||
         events_in_ != committed_in_;
}

void WorkerLoop::commit_batch() {
  if (!anything_to_commit()) return;
  for (const auto& action : worker_->commit_actions())
    action();
  store_commit(false);
  memory_.counters().batches.add();
}

// Commits the events before the one in the handler, so that the stages behind can make room.
void WorkerLoop::split_commit() {
  if (in_boundary_ == committed_in_ && out_boundary_ == committed_out_) return;
  for (const auto& action : worker_->commit_actions())
    action();
  store_commit(true);
  undo_boundary_ = log_.base();
  memory_.counters().split_commits.add();
}

void WorkerLoop::store_commit(bool split) {
  for (OutLane* output : touched_) {
    commit_.move(output->word, split ? output->lane.before(event_) : output->lane.next());
    if (output->lane.ends()) commit_.move(output->word + 1, ipc::kEnded);
  }
  for (const InLane* input : touched_inputs_)
    commit_.move(input->word, input->lane.next());
  committed_in_ = split ? in_boundary_ : events_in_;
  committed_out_ = split ? out_boundary_ : events_out_;
  commit_.move(kEventsIn, committed_in_);
  commit_.move(kEventsOut, committed_out_);
  if (finished_) commit_.move(kFinished, 1);
  if (poison_.any()) commit_.move(kDeadLetters, dead_letters_);
  if (retry_) commit_.move(kRetried, retry_->done());
  if (split) {
    commit_.commit(undo_boundary_);
  } else {
    commit_.commit();
  }

  ipc::Published published;
  for (OutLane* output : touched_) {
    if (published.sleeps(*output->consumer)) {
      output->bell->ring();
      memory_.counters().rings.add();
    }
    output->touched = split && output->lane.before(event_) != output->lane.next();
  }
  std::erase_if(touched_, [](const OutLane* output) { return !output->touched; });
  for (InLane* input : touched_inputs_) {
    if (published.sleeps(*input->producer)) {
      input->bell->ring();
      memory_.counters().rings.add();
    }
    input->touched = split;  // The event in the handler came from one of them.
  }
  if (!split) touched_inputs_.clear();
}

std::byte* WorkerLoop::make_room(OutLane& out, std::uint64_t bytes) {
  const Node& to = wiring_.graph().nodes[out.node];
  if (bytes > out.lane.capacity_bytes()) {
    throw Error{{"publish a record for", to.name,
                 fmt::format("it takes {} of a lane of {}", format_bytes(bytes),
                             format_bytes(out.lane.capacity_bytes())),
                 fmt::format("raise lane.bytes, for instance --set stage.{}.lane.bytes={}", to.name,
                             format_bytes(std::bit_ceil(bytes)))}};
  }
  if (out.policy == FullPolicy::drop_newest || abandoned(out)) {
    memory_.counters().dropped.add();
    return nullptr;
  }
  if (out.policy == FullPolicy::fail) {
    throw Error{{"publish an event for", to.name, "the lane is full and lane.full is `fail`",
                 "give the stage more workers or its lanes more room"}};
  }
  if (out.is_shed()) {
    memory_.counters().shed.add();
    return nullptr;
  }
  split_commit();
  if (out.lane.next() - out.lane.before(event_) + bytes > out.lane.capacity_bytes()) {
    throw Error{
        {"publish the events made for", to.name,
         fmt::format("one event makes more than a lane of {} holds", format_bytes(out.lane.capacity_bytes())),
         fmt::format("raise stage.{0}.lane.slots or stage.{0}.lane.bytes; a last word can be said in "
                     "portions: finish() that returns true is called again",
                     to.name)}};
  }
  set_activity(ipc::Activity::full);
  memory_.counters().full_waits.add();
  std::byte* room = nullptr;
  while (room == nullptr && !out.is_shed()) {
    const ipc::Woken woken = waiter_.wait_until(
        [&] {
          return (room = out.lane.reserve(bytes)) != nullptr || out.lane.corrupt() || abandoned(out) ||
                 out.is_shed();
        },
        kLongestWait);
    if (woken == ipc::Woken::unasked) memory_.counters().unasked_wakes.add();
    if (out.lane.corrupt()) refuse_lane(out);
    if (room == nullptr && abandoned(out)) {
      memory_.counters().dropped.add();
      break;
    }
  }
  if (room == nullptr && out.is_shed()) memory_.counters().shed.add();
  set_activity(ipc::Activity::busy);
  return room;
}

// The host would take what this lane carries, and is dead: nobody waits for room in it any more.
bool WorkerLoop::abandoned(const OutLane& out) const noexcept {
  return wiring_.graph().nodes[out.node].kind == NodeKind::outlet && host_gone(master_);
}

void WorkerLoop::refuse_lane(const OutLane& out) const {
  throw Error{{"write the lane to", wiring_.graph().nodes[out.node].name, "its consumer's cursor cannot be",
               "start the pipeline anew"}};
}

void WorkerLoop::ring_neighbours() {
  // A predecessor may have died between publishing and ringing.
  for (const OutLane& output : outputs_)
    output.bell->ring();
  for (const InLane& input : inputs_)
    input.bell->ring();
}

}  // namespace sluice::detail
