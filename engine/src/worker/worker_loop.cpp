// SPDX-License-Identifier: Apache-2.0
#include "worker/worker_loop.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include <sluice/detail/standard_streams.hpp>
#include <sluice/error.hpp>

#include "state/oversize.hpp"
#include "worker/own_bell.hpp"
#include "worker/region_check.hpp"
#include "worker/worker_access.hpp"

namespace sluice::detail {
namespace {

WorkerIdentity identity_of(const Wiring& wiring, const WorkerMemory& worker) {
  const ProcessLayout& layout = worker.layout();
  // relaxed: drawn before the first start; own word.
  return {wiring.graph().name,
          wiring.requests().run.load(std::memory_order_relaxed),
          wiring.requests().life.load(std::memory_order_relaxed),
          wiring.node(layout.node).name,
          layout.replica,
          wiring.layout().replicas_of(layout.node),
          worker.control().incarnation.load(std::memory_order_relaxed),
          wiring.settings(layout.node).table_rows};
}

}  // namespace

WorkerLoop::WorkerLoop(const Wiring& wiring, WorkerIndex worker, Waiter& waiter,
                       std::span<const RefusedLetter> refused)
    : wiring_{wiring},
      index_{worker},
      node_{wiring.node(worker)},
      waiter_{waiter},
      master_{wiring.master()},
      memory_{wiring.worker(worker)},
      activity_{memory_.control().activity},
      log_{memory_.undo(),
           memory_.undo_entries(),
           memory_.state(),
           {memory_.page_stamps(), master_.checkpoint_round}},
      commit_{memory_.commit(), memory_.record(), memory_.cursors(), log_},
      work_{log_, memory_.control().progress,
            origin_of(wiring.requests().run.load(std::memory_order_relaxed), memory_.layout().node.value(),
                      memory_.layout().replica)},
      in_{take_over(), process_of(worker), memory_.layout().node},
      out_{wiring, process_of(worker), memory_.layout().node, memory_.layout().replica, log_.event(), *this},
      lane_scheduler_{in_.size()},
      // relaxed: drawn before the first start.
      area_{node_.name, log_, wiring.requests().hash_seed.load(std::memory_order_relaxed)},
      poison_{wiring, worker, refused},
      suspects_{memory_.control()},
      tellings_{wiring.settings().checkpoints.path.empty() ? nullptr : &wiring.checkpointed(worker),
                wiring.telling_of(worker) != nullptr},
      batch_events_{wiring.settings(worker).batch_events},
      source_pace_{1},
      linger_{wiring.settings(worker).linger},
      sample_{wiring.settings(worker).latency_sample} {
  resume();
  memory_.control().awaited_commits.store(0,
                                          std::memory_order_relaxed);  // relaxed: as in await_checkpoint().
  // A handler that is being made asks whose events it will get: TransactionSink asks its store so.
  work_.id.origin =
      origin_of(identity_of(wiring, memory_).run, memory_.layout().node.value(), memory_.layout().replica);
  // A predecessor may have died between publishing and ringing. Before the handler is made: that may take long.
  ring_neighbours();
  if (!finished_) {
    worker_ = WorkerAccess::make(identity_of(wiring, memory_), area_, work_.id, *this);
    runner_ = node_.factory(*worker_, out_);
    note_constructed();
    takes_spans_ = runner_->takes_spans();
    if (takes_spans_ && no_spans_) throw Error{*no_spans_};
    poison_.claim_file(*worker_, [this](const EventId& event) { return is_to_come(event); });
    retry_.emplace(*worker_, wiring, worker, memory_.cursors()[kRetried].load(std::memory_order_relaxed),
                   [this](std::uint64_t ahead, std::function<void()> mark) {
                     tellings_.hold(commit_.committed() + ahead, std::move(mark));
                   });
    poison_.letters_begin_behind(retry_->begun_ns());
    if (!retry_->pending()) retry_.reset();
    // Without processes there is no new loop for what is to be done again.
    if (has_flushes() && wiring.requests().run.load(std::memory_order_relaxed) == 0)
      one_by_one_ = std::numeric_limits<std::uint64_t>::max();
    // What a handler keeps from its beginning is in every checkpoint: none comes between here and the first step.
    // What lies before base is of an event that a predecessor has committed in parts.
    if (log_.tail() != log_.base()) store_commit(true);
  }
  plain_ = is_plain();
}

// The handler is. What is noted behind it has another number, as if of an event: a piece of state that is asked for from here
// on comes too late.
void WorkerLoop::note_constructed() {
  area_.refuse_unclaimed();
  log_.begin_event();
  work_.resume_after(committed_in_);
  check_own_bell(wiring_, index_);
}

// Recovery comes before anything else that looks at the region: the ports read its cursors.
const Wiring& WorkerLoop::take_over() {
  std::string fault;
  if (!commit_.recover()) {
    fault = "its commit record or undo log is corrupt";
  } else {
    fault = fault_of_region(wiring_, index_);
  }
  if (!fault.empty())
    throw Error{{"take over the region of", memory_.name(), fault, "start the pipeline anew"}};
  return wiring_;
}

void WorkerLoop::resume() {
  // relaxed: this process's own region.
  committed_in_ = memory_.cursors()[kEventsIn].load(std::memory_order_relaxed);
  work_.resume_after(committed_in_);
  out_.resume_after(memory_.cursors()[kEventsOut].load(std::memory_order_relaxed));
  finished_ = memory_.cursors()[kFinished].load(std::memory_order_relaxed) != 0;
  dead_letters_ = memory_.cursors()[kDeadLetters].load(std::memory_order_relaxed);
  const std::uint64_t said = memory_.cursors()[kLastWords].load(std::memory_order_relaxed);
  last_words_ = committed_last_words_ = said & ~kSaidCutShort;
  cut_short_ = (said & kSaidCutShort) != 0;
  // A batch of no pipeline is larger.
  one_by_one_ = std::min(memory_.control().outside.flushing.load(std::memory_order_relaxed), batch_events_);
  for (std::size_t i = 0; poison_.any() && i < in_.size(); ++i)
    poison_.set_stop(static_cast<std::uint32_t>(i), in_[i].lane);
  looked_at_.reserve(2 * in_.size());
  // A source that has said a part of its last word is at its end: it is not asked for more, which would come behind that.
  input_ended_ = node_.kind == NodeKind::source ? last_words_ != 0 : in_.all_ended();
}

void WorkerLoop::limit_batches(std::uint64_t most) noexcept {
  batch_events_ = std::min<std::uint64_t>(wiring_.settings(index_).batch_events, most);
}

std::uint64_t WorkerLoop::consume_batch() {
  if (tellings_.too_many()) return 0;
  const std::uint64_t most = one_by_one_ != 0 ? 1 : batch_events_;
  await_room_for_an_event();
  batch_ends_ = false;
  // The commonest worker: there is no other lane to look at.
  return in_.size() == 1 ? handle_events(0, most) : consume_lanes(most);
}

std::uint64_t WorkerLoop::consume_lanes(std::uint64_t most) {
  std::uint64_t handled = 0;
  const auto look = [&](std::size_t index) {
    const std::uint64_t before = handled;
    handled += handle_events(index, most - handled);
    // What lies before an event that must not be handled is committed before another lane's event can undo it: more lanes may
    // have one than the blames of a worker are.
    if (poison_.any() && in_[index].lane.at_stop()) batch_ends_ = true;
    return handled != before;
  };
  const auto enough = [&] {
    return handled >= most || batch_ends_ || (handled != 0 && !has_room_for_an_event());
  };
  lane_scheduler_.round(look, enough);
  // A worker that finds nothing has looked everywhere. Lanes without a host end in any order.
  if (handled == 0 || host_gone(master_)) lane_scheduler_.rest(look, enough);
  return handled;
}

std::uint64_t WorkerLoop::produce_batch() {
  if (asked_to_end()) {
    input_ended_ = true;
    cut_short_ = !WorkerAccess::is_endless(*worker_);
    return 1;
  }
  source_idle_ = tellings_.too_many();
  if (source_idle_) return 0;
  await_room_for_an_event();
  set_activity(ipc::Activity::busy);
  note_first_event();
  std::uint64_t calls = 0;
  work_.enter_lane(0);
  const std::uint64_t most = calls_at_most();
  const bool flushes = has_flushes();
  const SourceCalls limits{flushes ? 1 : most, coarse_now(), linger_};
  bool slow = false;
  waited_for_.reset();
  while (calls < most && !slow && work_.batch_goes_on()) {
    if (flushes && calls != 0 && (!has_room_for_an_event() || next_call_waits())) break;
    const Produced made =
        sample_ == 0 ? runner_->produce(limits, work_)
                     : produce_timed({std::min(limits.most, most - calls), limits.since, limits.linger});
    calls += made.calls;
    slow = made.slow;
    if (made.state == SourceState::more) continue;
    slow = note_no_more(made.state) || slow;
    break;
  }
  note_pace(slow);
  // The end is something that was done: it is followed by the last word.
  return calls;
}

// The last call of a source had no more; whether for now only. To say no more than that is no event: a replacement may
// hear it once more. A call that has done something is one, whatever it answers: it has its number, and is flushed.
bool WorkerLoop::note_no_more(SourceState state) noexcept {
  if (!out_.has_pushed() && log_.tail() == log_.before_event()) work_.count_no_input();
  if (state == SourceState::nothing_now) {
    work_.note_look();
    source_idle_ = true;
    return true;
  }
  input_ended_ = true;
  return false;
}

// How many of the lanes that it looked at have ended. That takes no commit: it can be seen again.
std::uint64_t WorkerLoop::note_ends() {
  std::uint64_t ended = 0;
  // Asked before the lanes are looked at: what they hold then is all that the host has published.
  const bool host_is_gone = host_gone(master_);
  for (const std::size_t index : looked_at_) {
    InLane& input = in_[index];
    if (input.lane.corrupt()) in_.refuse(input, "the lane");
    if (in_.note_end(input, host_is_gone)) ++ended;
  }
  if (ended != 0 && in_.all_ended()) input_ended_ = true;
  return ended;
}

void WorkerLoop::say_last_word() {
  std::uint64_t calls = 0;
  bool more = true;
  await_room_for_an_event();
  work_.enter_lane(kLastWord);
  // In a stage with flushes each portion is a batch of its own: the room for the next one is to be had again.
  const std::uint64_t most = has_flushes() || one_by_one_ != 0 ? 1 : batch_events_;
  while (more && calls++ < most && work_.batch_goes_on()) {
    work_.begin_event(last_words_);
    work_.count_no_input();
    more = runner_->finish();
    ++last_words_;
  }
  if (more) return;
  write_out_what_was_printed();
  out_.end();
  finished_ = true;
}

// Where it ends, and where it may: what is lost here nobody writes again. Without processes the streams are the host's.
void WorkerLoop::write_out_what_was_printed() {
  // relaxed: drawn before the first start.
  const bool own_process = wiring_.requests().run.load(std::memory_order_relaxed) != 0;
  if (write_out_standard_streams() || !own_process || told_of_printed_) return;
  told_of_printed_ = true;
  worker_->report("what was printed could not all be written: standard output or a file is full, or closed");
}

// Only a handler throws in step(), so that there is an event to abandon. What it had ready for a flush may hold parts of
// that event. `again`: it is handled once more, in a batch of its own.
void WorkerLoop::give_up(bool again) {
  given_up_ = has_flushes() ? events_in_batch() : work_.span();
  if (has_flushes()) {
    // relaxed: own word.
    if (again) memory_.control().outside.flushing.store(events_in_batch(), std::memory_order_relaxed);
    abandon_batch();
  } else {
    abandon_event();
    commit_batch(true);
  }
}

// Whether events before the one in the handler have taken room in the undo log that it can have once they are committed.
// What the handler's constructor has noted, and would note again, does not count.
bool WorkerLoop::shares_the_undo_log() const noexcept {
  const bool others =
      work_.events_before() != committed_in_ || out_.had_pushed() || last_words_ != committed_last_words_;
  return log_.before_event() != 0 && (others || log_.base() != 0);
}

void WorkerLoop::abandon_event() noexcept {
  // Everything the event did is behind its boundaries.
  log_.roll_back(log_.before_event());
  out_.take_event_back();
  work_.count_no_input();
  finished_ = false;
}

// All that came behind the last commit.
void WorkerLoop::abandon_batch() noexcept {
  log_.roll_back();
  out_.take_all_back();
  in_.take_all_back();
  work_.resume_after(committed_in_);
  last_words_ = committed_last_words_;
  finished_ = false;
}

bool WorkerLoop::input_ready() {
  const bool host_is_gone = host_gone(master_);
  // The next event comes most likely from where the last one came from.
  for (const std::size_t index : lane_scheduler_.busy()) {
    if (in_.ready(in_[index], host_is_gone)) return true;
  }
  for (std::size_t index = 0; index < in_.size(); ++index) {
    if (!in_.ready(in_[index], host_is_gone)) continue;
    lane_scheduler_.notice(index);
    return true;
  }
  return false;
}

void WorkerLoop::wait_for_input() {
  set_activity(ipc::Activity::idle);
  memory_.counters().waits.add();
  // A stage is rung by its producers. A source has none: if it has nothing now, it is asked again soon.
  if (source_idle_) {
    waiter_.pause(std::chrono::milliseconds{1});
    return check_own_bell(wiring_, index_);
  }
  // Where too much waits to be told, or there is no more input, only a checkpoint gives it something to do.
  const bool takes_more = !tellings_.too_many() && (tellings_.none() || !(finished_ || input_ended_));
  const auto ready = [&] { return asked_to_stand() || tellings_.due() || (takes_more && input_ready()); };
  // A wait behind one in vain is four times as long, and what is due by the clock (when_idle) is a second late at most.
  constexpr std::chrono::nanoseconds kLongest = kLongestWait;
  const bool has_a_clock = worker_ != nullptr && WorkerAccess::acts_when_idle(*worker_);
  note_woken(waiter_.wait_until(ready, has_a_clock ? kLongest / 4 : kLongest));
}

void WorkerLoop::note_woken(ipc::Woken woken) {
  if (woken == ipc::Woken::unasked) memory_.counters().unasked_wakes.add();
  if (woken == ipc::Woken::bound) check_own_bell(wiring_, index_);
}

void WorkerLoop::note_life_began() noexcept {
  first_event_noted_ = true;
  const std::uint32_t incarnation = memory_.control().incarnation.load(std::memory_order_relaxed);
  memory_.control().lives[incarnation % ipc::kLivesKept].first_event_ns.store(monotonic_now().count(),
                                                                              std::memory_order_relaxed);
}

}  // namespace sluice::detail
