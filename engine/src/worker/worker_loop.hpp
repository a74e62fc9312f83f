// SPDX-License-Identifier: Apache-2.0
// The worker loop: reads events, runs the handler, commits.
//
// One object a worker, in the worker's process and thread; or, for run_inline, all workers of a pipeline in
// one thread. It takes a region over as it stands: recovery comes first, always.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <sluice/detail/batch.hpp>
#include <sluice/detail/graph.hpp>
#include <sluice/detail/output_port.hpp>
#include <sluice/detail/runner.hpp>
#include <sluice/detail/state_area.hpp>
#include <sluice/error.hpp>
#include <sluice/worker.hpp>

#include "layout/latency.hpp"
#include "layout/layout.hpp"
#include "layout/standstill.hpp"
#include "layout/wiring.hpp"
#include "ports/input_port.hpp"
#include "ports/waiter.hpp"
#include "worker/lane_scheduler.hpp"
#include "worker/poison.hpp"
#include "worker/retry.hpp"
#include "worker/suspects.hpp"
#include "worker/tellings.hpp"
#include "worker/worker_access.hpp"

namespace sluice::detail {

// What a worker throws when the event in its handler cannot go on in this batch, and may be able to in one of its own: it
// has been undone, and a new loop does it again. An event that finds the undo log too full of those before it; in a stage
// with flushes, which is not committed in the midst of an event, one that finds a lane full. A span that does not fit, or
// that the outside has refused, is done again in halves.
struct DoAgain {};

class WorkerLoop final : private Producer, private WorkerServices {
 public:
  enum class Step { worked, nothing, finished };

  // Recovers the region and constructs the handler; what was `refused` it moves to the dead letters. Throws Error when the
  // region is not sound, and whatever the handler's constructor throws.
  WorkerLoop(const Wiring& wiring, WorkerIndex worker, Waiter& waiter,
             std::span<const RefusedLetter> refused = {});

  // One batch, if there is input. Whatever the handler throws comes out, after the event in question has been
  // rolled back and those before it are committed; in a stage with flushes, after the batch has been. Then, and
  // after DoAgain, the loop is done with: a new one recovers the region.
  Step step();
  // Waits for input, not longer than the policy's bound.
  void wait_for_input();

  // As Runner::widen(), before the first step.
  void widen(unsigned threads);

  // A batch has no more events than that and the setting.
  void limit_batches(std::uint64_t most) noexcept;

  bool input_ready();
  bool finished() const noexcept { return finished_; }
  // Whether events have been committed, with all that was to be done after it.
  bool has_committed() const noexcept { return has_committed_; }
  // Once a step has thrown: how many events were undone with the one that it threw in, or are not committed since their
  // flush threw.
  std::uint64_t undone_events() const noexcept {
    return given_up_ != 0 || !has_flushes() ? given_up_ : events_in_batch();
  }

  // For promises.hpp: the loop that serves a Worker.
  static WorkerLoop& of(WorkerServices& services) noexcept { return static_cast<WorkerLoop&>(services); }
  bool outside_may_be_ahead() const noexcept {
    return !wiring_.settings().checkpoints.path.empty() && wiring_.telling_of(index_) == nullptr;
  }
  void refuse_spans(Error why) { no_spans_ = std::move(why); }
  bool drops() const noexcept;
  // Whether an event is in the handler. Its constructor has none, whatever the words of a predecessor name.
  bool in_event() const noexcept {
    return runner_ != nullptr && event_named(look_at(memory_.control().progress)).has_value();
  }

 private:
  // Of a Producer, for a full lane.
  bool gives_up(const OutLane& lane) const noexcept override;
  void lost(Lost why) noexcept override;
  void publish_before_event() override;
  bool wait_for_room(OutLane& lane, const std::function<bool()>& ready) override;
  void wait_briefly(const std::function<bool()>& ready, std::chrono::nanoseconds limit) override;
  const char* too_much() const noexcept override { return "one event makes"; }
  const char* remedy() const noexcept override {
    return "a last word can be said in portions: finish() that returns true is called again";
  }

  // Of WorkerServices.
  std::int64_t may_last_until(std::int64_t until_ns) noexcept override;
  bool wait_for(int fd, std::chrono::nanoseconds limit) override;
  void when_safe(std::function<void()> tell) override {
    plain_ = false;  // Before the next batch there may be something to tell.
    tellings_.add(commit_.committed(), std::move(tell));
  }
  bool takes_spans() const noexcept override { return runner_->takes_spans(); }
  bool interrupted() const noexcept override;

  // The commonest batch: worker_step.cpp.
  bool is_plain() const noexcept;
  bool was_plain(const InLane& in) const noexcept;
  inline Step step_plainly();
  inline void store_plainly(InLane& in) noexcept;
  // Every other one: what it handles, and, behind `done` of that, its end.
  std::uint64_t handle_some();
  Step conclude(std::uint64_t done);
  void act_when_idle();
  void await_checkpoint() noexcept;
  // Tells what is due; whether the rest is to be told before anything else is done.
  bool tells_first();
  const Wiring& take_over();
  void note_constructed();
  void resume();
  std::uint64_t consume_batch();
  std::uint64_t consume_lanes(std::uint64_t most);
  std::uint64_t handle_events(std::size_t index, std::uint64_t limit);
  // As the runner's functions; some of the events are timed: worker_latency.cpp.
  std::uint64_t consume(InLane& input, std::uint32_t lane, std::uint64_t limit) {
    if (input.stamps != nullptr) [[unlikely]]
      return consume_stamped(input, lane, limit);
    return runner_->consume(input.lane, lane, limit, work_);
  }
  std::uint64_t consume_stamped(InLane& input, std::uint32_t lane, std::uint64_t limit);
  std::uint64_t consume_the_rest(InLane& input, std::uint32_t lane, std::uint64_t limit);
  Produced produce_timed(const SourceCalls& limits);
  std::chrono::nanoseconds begin_timing() noexcept;
  void end_timing(std::chrono::nanoseconds begun, std::uint64_t handled, const Stamp& stamp) noexcept;
  void time_the_whole_way() noexcept;
  void divert(std::size_t index);
  std::uint64_t divert_alone(std::size_t index);
  bool letter_file_ready();
  bool is_to_come(const EventId& event) noexcept;
  std::uint64_t retry_letter();
  std::uint64_t produce_batch();
  bool note_no_more(SourceState state) noexcept;
  bool asked_to_end() const noexcept;
  bool next_call_waits() const noexcept;
  std::uint64_t calls_at_most() const noexcept;
  void note_pace(bool slow) noexcept;
  std::uint64_t note_ends();
  void say_last_word();
  void give_up(bool again);
  [[noreturn]] void give_up_what_threw();
  // The same; does not return when the event is handled once more by a new loop.
  void give_up_for_now(bool again);
  bool cut_span() noexcept;
  std::uint64_t limit_of_span(std::uint64_t limit) noexcept;
  bool shares_the_undo_log() const noexcept;
  void abandon_event() noexcept;
  void abandon_batch() noexcept;
  bool anything_to_commit() const noexcept;
  // `without_event`: the one in the handler has been given up.
  void commit_batch(bool without_event = false);
  [[noreturn]] void do_again_one_by_one();
  void refuse_what_was_not_noted(bool without_event);
  void store_commit(bool whole);
  inline void store(bool whole);  // In worker_commit.cpp, where nearly all commits are.
  // Of a stage with flushes: worker_flush.cpp.
  bool has_flushes() const noexcept { return worker_ != nullptr && WorkerAccess::has_flushes(*worker_); }
  bool has_room_for_an_event();
  void await_room_for_an_event() {
    if (has_flushes()) [[unlikely]]
      await_room_for_a_flush();
  }
  void await_room_for_a_flush();
  std::uint64_t events_in_batch() const noexcept {
    return work_.events_in() - committed_in_ + (last_words_ - committed_last_words_);
  }
  void flush_batch();
  void note_flushed(std::uint64_t events) noexcept;
  void cover();
  void cover(std::uint32_t lane, std::uint64_t from, std::uint64_t to);
  void ring_neighbours();
  // At a commit, or between the events of one: waits as long as the master asks for a standstill.
  void stand_still();
  void write_out_what_was_printed();
  bool asked_to_stand() const noexcept { return asks_to_stand(standstill_of(master_)); }
  void note_woken(ipc::Woken woken);
  void set_activity(ipc::Activity activity) noexcept {
    // relaxed: a claim for the watchdog, which looks again and again.
    if (activity_.load(std::memory_order_relaxed) != activity)
      activity_.store(activity, std::memory_order_relaxed);
  }
  void note_first_event() noexcept {
    if (!first_event_noted_) [[unlikely]]
      note_life_began();
  }
  void note_life_began() noexcept;

  const Wiring& wiring_;
  WorkerIndex index_;
  const Node& node_;
  Waiter& waiter_;
  const MasterRegister& master_;
  WorkerMemory memory_;
  std::atomic<ipc::Activity>& activity_;  // Own word.
  ipc::UndoLog log_;
  ipc::Commit commit_;
  Work work_;
  // Made once the region is recovered: take_over().
  InputPort in_;
  OutputPort out_;
  LaneScheduler lane_scheduler_;
  std::vector<std::size_t> looked_at_;  // Of the inputs, in this batch.
  StateArea area_;
  Poison poison_;
  Suspects suspects_;
  std::optional<Retry> retry_;
  Tellings tellings_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Runner> runner_;
  bool takes_spans_ = false;       // As the runner says.
  std::optional<Error> no_spans_;  // Why it must not.
  bool plain_ = false;             // The next batch is, as far as can be known before.
  bool come_in_stream_ = false;    // Events: the last batch had several, and all that there were.
  std::uint64_t batch_events_;
  std::uint64_t committed_in_ = 0;
  std::uint64_t dead_letters_ = 0;
  std::uint64_t last_words_ = 0;  // Portions that have been said, with this batch.
  std::uint64_t committed_last_words_ = 0;
  std::vector<Covered> covered_;  // By this batch.
  bool batch_ends_ = false;       // A dead letter or a suspect span is the last of its batch.
  bool undo_asked_ = false;       // DoAgain was thrown, whatever the handler made of it.
  // So many events are handled in a batch each: a flush of them has failed, or one has found the undo log full.
  std::uint64_t one_by_one_ = 0;
  std::uint64_t source_pace_;      // Calls of a source in a batch.
  std::optional<int> waited_for_;  // A descriptor or -1, by one with flushes, in this batch.
  std::chrono::nanoseconds linger_;
  std::uint64_t sample_;  // One of so many calls of a source is timed; 0: none.
  std::uint64_t calls_until_timed_ = 0;
  bool timing_ = false;                  // The event in the handler is timed,
  std::chrono::nanoseconds held_up_{0};  // and has waited for room in a lane so long.
  // When what the timed events of this batch come from was published. A lane has not more stamps at once.
  std::array<std::int64_t, LaneStamps::kKept> born_ns_{};
  std::size_t come_through_ = 0;
  bool source_idle_ = false;
  bool input_ended_ = false;
  bool cut_short_ = false;  // A source, by a drain.
  bool finished_ = false;
  bool told_of_printed_ = false;  // That some of it was lost.
  bool first_event_noted_ = false;
  bool has_committed_ = false;
  std::uint64_t given_up_ = 0;  // Events, by what a handler threw.
};

}  // namespace sluice::detail
