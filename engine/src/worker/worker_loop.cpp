// SPDX-License-Identifier: Apache-2.0
#include "worker/worker_loop.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "worker/region_check.hpp"

namespace sluice::detail {
namespace {

WorkerIdentity identity_of(const Wiring& wiring, const WorkerMemory& worker) {
  const ProcessLayout& layout = worker.layout();
  const Node& node = wiring.node(layout.node);
  return {node.name, layout.replica, wiring.layout().replicas_of(layout.node),
          worker.control().incarnation.load(std::memory_order_relaxed),
          wiring.settings(layout.node).table_rows};
}

}  // namespace

std::vector<InLane> input_lanes(const Wiring& wiring, ProcessIndex process) {
  std::vector<InLane> inputs;
  for (const LaneIndex id : wiring.layout().processes[process].lanes_in) {
    const LaneLayout& lane = wiring.layout().lanes[id];
    InLane input{ipc::LaneConsumer{wiring.lane(id)}, lane.consumer_word,
                 &wiring.process(lane.producer).control(), &wiring.bell(lane.producer), lane.producer};
    input.shed = wiring.shed_word(lane.producer);
    input.ended = input.lane.readable() == 0 && input.lane.at_end();
    inputs.push_back(input);
  }
  return inputs;
}

std::deque<OutLane> output_lanes(const Wiring& wiring, ProcessIndex process) {
  std::deque<OutLane> outputs;
  for (const LaneIndex id : wiring.layout().processes[process].lanes_out) {
    const LaneLayout& lane = wiring.layout().lanes[id];
    const std::size_t to = wiring.edge(lane).to;
    outputs.push_back({ipc::LaneProducer{wiring.lane(id)}, lane.producer_word,
                       &wiring.process(lane.consumer).control(), &wiring.bell(lane.consumer),
                       wiring.settings(NodeIndex{to}).full, to, false, wiring.shed_word(lane.consumer)});
  }
  return outputs;
}

WorkerLoop::WorkerLoop(const Wiring& wiring, WorkerIndex worker, Waiter& waiter)
    : wiring_{wiring},
      index_{worker},
      node_{wiring.node(worker)},
      waiter_{waiter},
      master_{wiring.master()},
      memory_{wiring.worker(worker)},
      log_{memory_.undo(), memory_.undo_entries(), memory_.state()},
      commit_{memory_.commit(), memory_.record(), memory_.cursors(), log_},
      area_{node_.name, log_},
      poison_{wiring, worker},
      batch_events_{wiring.settings(worker).batch_events} {
  if (!commit_.recover()) {
    throw Error{{"take over the region of", memory_.name(), "its commit record or undo log is corrupt",
                 "start the pipeline anew"}};
  }
  if (const std::string fault = fault_of_region(wiring, worker); !fault.empty()) {
    throw Error{{"take over the region of", memory_.name(), fault, "start the pipeline anew"}};
  }
  undo_ = &log_;
  // An event may use what the batch before it has left: at least half of the log.
  undo_limit_ = log_.capacity_bytes() / 2;
  progress_ = &memory_.control().progress;
  resume();
  connect_outputs();
  if (!finished_) {
    worker_ = std::make_unique<Worker>(identity_of(wiring, memory_), area_, id_);
    runner_ = node_.factory(*worker_, ports_);
    if (poison_.any()) poison_.open_file(*worker_);
    retry_.emplace(wiring, worker, memory_.cursors()[kRetried].load(std::memory_order_relaxed));
    if (!retry_->pending()) retry_.reset();
  }
  ring_neighbours();
}

void WorkerLoop::resume() {
  // relaxed: this process's own region.
  committed_in_ = events_in_ = memory_.cursors()[kEventsIn].load(std::memory_order_relaxed);
  committed_out_ = events_out_ = memory_.cursors()[kEventsOut].load(std::memory_order_relaxed);
  finished_ = memory_.cursors()[kFinished].load(std::memory_order_relaxed) != 0;
  dead_letters_ = memory_.cursors()[kDeadLetters].load(std::memory_order_relaxed);
  inputs_ = input_lanes(wiring_, process_of(index_));
  for (std::size_t i = 0; poison_.any() && i < inputs_.size(); ++i)
    poison_.set_stop(static_cast<std::uint32_t>(i), inputs_[i].lane);
  outputs_ = output_lanes(wiring_, process_of(index_));
  touched_.reserve(outputs_.size());
  touched_inputs_.reserve(inputs_.size());
  looked_at_.reserve(2 * inputs_.size());
  lane_scheduler_ = LaneScheduler{inputs_.size()};
  ended_inputs_ = static_cast<std::size_t>(
      std::count_if(inputs_.begin(), inputs_.end(), [](const InLane& in) { return in.ended; }));
  input_ended_ = node_.kind != NodeKind::source && ended_inputs_ == inputs_.size();
}

void WorkerLoop::connect_outputs() {
  for (std::size_t output = 0; output < node_.outputs.size(); ++output)
    ports_.emplace_back(*this);
  const ProcessLayout& layout = memory_.layout();
  for (std::size_t e = 0; e < wiring_.graph().edges.size(); ++e) {
    const Edge& edge = wiring_.graph().edges[e];
    if (NodeIndex{edge.from} != layout.node) continue;
    OutEdge out{edge.route, {}, layout.replica};
    for (std::size_t i = 0; i < layout.lanes_out.size(); ++i) {
      if (wiring_.layout().lanes[layout.lanes_out[i]].edge == e) out.lanes.push_back(&outputs_[i]);
    }
    ports_[edge.output].connect(std::move(out));
  }
}

WorkerLoop::Step WorkerLoop::step() {
  if (finished_) {
    // Also said by a process that finds everything done: its master tells by this word how it ended.
    set_activity(ipc::Activity::finished);
    return Step::finished;
  }
  looked_at_.clear();
  std::uint64_t done = 0;
  try {
    if (retry_) {
      done = retry_letter();
    } else if (!input_ended_) {
      done = node_.kind == NodeKind::source ? produce_batch() : consume_batch();
    } else {
      set_activity(ipc::Activity::busy);
      say_last_word();
      done = 1;
    }
  } catch (...) {
    // Only a handler throws here, so that there is an event to abandon.
    abandon_event();
    commit_batch();
    throw;
  }
  done += note_ends();
  commit_batch();
  if (retry_ && !retry_->pending()) retry_.reset();
  if (finished_) set_activity(ipc::Activity::finished);
  return done != 0 ? Step::worked : Step::nothing;
}

std::uint64_t WorkerLoop::consume_batch() {
  std::uint64_t handled = 0;
  const auto look = [&](std::size_t index) {
    const std::uint64_t before = handled;
    handled += look_at(index, batch_events_ - handled);
    return handled != before;
  };
  const auto enough = [&] { return handled >= batch_events_; };
  lane_scheduler_.round(look, enough);
  // Whoever finds nothing has looked everywhere. Lanes without a host end in any order.
  if (handled == 0 || host_gone(master_)) lane_scheduler_.rest(look, enough);
  return handled;
}

// How many events it had, up to `limit`.
std::uint64_t WorkerLoop::look_at(std::size_t index, std::uint64_t limit) {
  InLane& input = inputs_[index];
  if (input.ended) return 0;
  looked_at_.push_back(index);
  std::uint64_t handled = 0;
  if (poison_.any() && input.lane.at_stop()) {
    divert(index);
    ++handled;
  }
  if (input.lane.readable() == 0) return handled;
  set_activity(ipc::Activity::busy);
  note_first_event();
  touch(input);  // Before the handler runs: it may have to commit in the midst of the batch.
  return handled + runner_->consume(input.lane, static_cast<std::uint32_t>(index), limit - handled, *this);
}

// The event takes effect as a dead letter, like any other event: with the commit of its batch.
void WorkerLoop::divert(std::size_t index) {
  InLane& input = inputs_[index];
  set_activity(ipc::Activity::busy);
  touch(input);
  begin_event(static_cast<std::uint32_t>(index), input.lane.next());
  poison_.divert(static_cast<std::uint32_t>(index), input.lane);
  ++dead_letters_;
}

// A batch of its own for each: they are few.
std::uint64_t WorkerLoop::retry_letter() {
  set_activity(ipc::Activity::busy);
  note_first_event();
  if (poison_.forbids(kRetryLane, retry_->position())) {
    begin_event(kRetryLane, retry_->position());
    poison_.divert_again(kRetryLane, retry_->position(), retry_->letter());
    ++dead_letters_;
  } else {
    ipc::LaneConsumer letter = retry_->present();
    if (runner_->consume(letter, kRetryLane, 1, *this) != 1) {
      throw Error{{"retry a dead letter of stage", node_.name, "its event cannot be read",
                   "retry letters that a pipeline wrote"}};
    }
  }
  retry_->pass();
  return 1;
}

std::uint64_t WorkerLoop::produce_batch() {
  // relaxed: seen a batch later is soon enough.
  if (wiring_.requests().drain.load(std::memory_order_relaxed) != 0 || host_gone(master_)) {
    input_ended_ = true;
    return 1;
  }
  set_activity(ipc::Activity::busy);
  note_first_event();
  source_idle_ = false;
  std::uint64_t calls = 0;
  while (calls < batch_events_ && batch_goes_on()) {
    begin_event(0, events_in_);
    const SourceState state = runner_->produce();
    if (state == SourceState::nothing_now) {
      events_in_ = in_boundary_;  // It was asked, and nothing happened.
      // It looked, and that is progress; the position stays, since nothing happened.
      progress_->store(~event_, std::memory_order_relaxed);  // relaxed: as in begin_event().
      source_idle_ = true;
      break;
    }
    ++calls;
    if (state == SourceState::end) {
      // To say no more than that is no event: a replacement may hear it once more.
      if (events_out_ == out_boundary_ && undo_->tail() == undo_boundary_) events_in_ = in_boundary_;
      input_ended_ = true;
      break;
    }
  }
  // The end is something that was done: it is followed by the last word.
  return calls;
}

// How many of the lanes that it looked at have ended. That takes no commit: it can be seen again.
std::uint64_t WorkerLoop::note_ends() {
  std::uint64_t ended = 0;
  // Asked before the lanes are looked at: what they hold then is all that the host has published.
  const bool host_is_gone = host_gone(master_);
  for (const std::size_t index : looked_at_) {
    InLane& input = inputs_[index];
    if (input.lane.corrupt()) {
      throw Error{{"read the lane from", wiring_.name(input.from), "its cursors or lengths cannot be",
                   "start the pipeline anew"}};
    }
    if (input.ended) continue;  // A lane may be looked at twice.
    input.ended = ends(input, host_is_gone);
    if (input.ended) ++ended;
  }
  ended_inputs_ += ended;
  if (node_.kind != NodeKind::source && ended_inputs_ == inputs_.size()) input_ended_ = true;
  return ended;
}

// Its producer has said so, or no process is left that could say it.
bool WorkerLoop::ends(InLane& input, bool host_is_gone) {
  const bool last =
      host_is_gone && input.from == kHostProcess && input.lane.readable() == 0 && !input.lane.at_stop();
  return (input.lane.readable() == 0 && input.lane.at_end()) || last || input.producer_shed();
}

void WorkerLoop::say_last_word() {
  std::uint64_t calls = 0;
  bool more = true;
  while (more && calls++ < batch_events_ && batch_goes_on()) {
    begin_event(kLastWord, event_);
    events_in_ = in_boundary_;  // It is no event of the input.
    more = runner_->finish();
  }
  if (!more) end_outputs();
}

void WorkerLoop::end_outputs() {
  for (OutLane& output : outputs_) {
    output.lane.end();
    if (!output.touched) touch(output);
  }
  finished_ = true;
}

void WorkerLoop::abandon_event() noexcept {
  // Everything the event did is behind its boundaries.
  log_.roll_back(undo_boundary_);
  for (OutLane* output : touched_)
    output->lane.take_back(event_);
  events_out_ = out_boundary_;
  events_in_ = in_boundary_;
  finished_ = false;
}

bool WorkerLoop::ready(InLane& in) const noexcept {
  return !in.ended &&
         (in.lane.readable() != 0 || in.lane.at_stop() || in.lane.at_end() || in.lane.corrupt() ||
          (in.from == kHostProcess && host_gone(master_)) || in.producer_shed());
}

bool WorkerLoop::input_ready() {
  // The next event comes most likely from where the last one came from.
  for (const std::size_t index : lane_scheduler_.busy()) {
    if (ready(inputs_[index])) return true;
  }
  for (std::size_t index = 0; index < inputs_.size(); ++index) {
    if (!ready(inputs_[index])) continue;
    lane_scheduler_.notice(index);
    return true;
  }
  return false;
}

void WorkerLoop::wait_for_input() {
  set_activity(ipc::Activity::idle);
  memory_.counters().waits.add();
  // A stage is rung; nobody rings for a source that has nothing now: it is asked again soon.
  if (source_idle_) return waiter_.pause(std::chrono::milliseconds{1});
  if (waiter_.wait_until([this] { return input_ready(); }, kLongestWait) == ipc::Woken::unasked) {
    memory_.counters().unasked_wakes.add();
  }
}

void WorkerLoop::set_activity(ipc::Activity activity) noexcept {
  // relaxed: a claim for the watchdog, which looks again and again.
  if (memory_.control().activity.load(std::memory_order_relaxed) != activity) {
    memory_.control().activity.store(activity, std::memory_order_relaxed);
  }
}

void WorkerLoop::note_first_event() noexcept {
  if (first_event_noted_) return;
  first_event_noted_ = true;
  const std::uint32_t incarnation = memory_.control().incarnation.load(std::memory_order_relaxed);
  memory_.control().lives[incarnation % ipc::kLivesKept].first_event_ns.store(monotonic_now().count(),
                                                                              std::memory_order_relaxed);
}

}  // namespace sluice::detail
