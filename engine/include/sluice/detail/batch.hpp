// SPDX-License-Identifier: Apache-2.0
// Batch: how far a process has come since its last commit, and where the event in its handler began.
//
// A value. Everything behind the boundaries belongs to that event: the process can commit what came before
// and go on with the event, or give the event up and commit what came before.
#pragma once

#include <atomic>
#include <cstdint>

#include <sluice/detail/progress.hpp>
#include <sluice/event_id.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/undo.hpp>

namespace sluice::detail {

struct Batch {
  std::uint64_t event = 0;  // Numbers the events that this process handles, from 1.
  EventId id;               // The event in the handler.
  // Since the pipeline began; what the last commit says, and what was done since.
  std::uint64_t events_in = 0;
  std::uint64_t events_out = 0;
  // Where the event in the handler began.
  std::uint64_t undo_boundary = 0;
  std::uint64_t in_boundary = 0;
  std::uint64_t out_boundary = 0;

  // What was done until here can be committed without what follows.
  void begin_event(std::uint64_t position, std::uint64_t undo_tail) noexcept {
    ++event;
    id.position = position;
    undo_boundary = undo_tail;
    out_boundary = events_out;
    in_boundary = events_in++;
  }
  // The same for `count` events at once: to the batch they are one.
  void begin_span(std::uint64_t position, std::uint64_t count, std::uint64_t undo_tail) noexcept {
    begin_event(position, undo_tail);
    events_in += count - 1;
  }
  void give_event_up() noexcept {
    events_out = out_boundary;
    events_in = in_boundary;
  }
};

// What a runner does around every event. Used by the worker's one thread.
class Work {
 public:
  // `origin`: origin_of() the worker.
  Work(ipc::UndoLog& undo, ipc::Progress& progress, std::uint64_t origin) noexcept
      // An event may use what the batch before it has left: at least half of the log.
      : undo_{undo}, progress_{progress}, origin_{origin}, undo_limit_{undo.capacity_bytes() / 2} {}

  // The events that follow come from `lane`. Between two lanes no event is named: progress.hpp.
  void enter_lane(std::uint32_t lane) noexcept {
    if (lane == lane_) return;
    lane_ = lane;
    batch.id.origin = origin_ | lane;
    leave_event();
    progress_.lane.store(lane, std::memory_order_relaxed);  // relaxed: the fences keep the compiler in order.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // Before the handler sees an event of that lane.
  void begin_event(std::uint64_t position) noexcept {
    note_span(1);
    batch.begin_event(position, undo_.begin_event());
    name_event(progress_, position);
  }
  // Before the handler sees `count` events of that lane at once, which lie from `position` to `end`.
  void begin_span(std::uint64_t position, std::uint32_t count, std::uint64_t end) noexcept {
    note_span(count);
    leave_event();
    progress_.span_end.store(end, std::memory_order_relaxed);  // relaxed: as in enter_lane().
    std::atomic_signal_fence(std::memory_order_seq_cst);
    batch.begin_span(position, count, undo_.begin_event());
    name_event(progress_, position);
  }
  // The span in the handler, or how many events come one by one: 1.
  std::uint32_t span() const noexcept { return span_; }
  // What follows belongs to no event.
  void leave_event() noexcept {
    progress_.event.store(0, std::memory_order_relaxed);  // relaxed: as in name_event().
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // A source that had nothing was asked, and that is progress; the position stays, since nothing happened.
  void note_look() noexcept {
    // relaxed: own word, and as in name_event().
    progress_.looks.store(progress_.looks.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  // The same for a part of the span in the handler, by any of the threads that have it.
  void note_part() noexcept {
    progress_.looks.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count.
  }
  // False once the undo log is so full that the batch had better commit.
  bool batch_goes_on() const noexcept { return undo_.tail() <= undo_limit_; }

  Batch batch;

 private:
  template <bool kHasState>
  friend class EventsInTurn;

  static void name_event(ipc::Progress& progress, std::uint64_t position) noexcept {
    // relaxed: the watchdog wants to see that it changes, no more.
    progress.event.store(event_word(position), std::memory_order_relaxed);
    // The master, when it looks into a dead worker, must find the event that it died in, not the one before.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  void note_span(std::uint32_t count) noexcept {
    if (count == span_) return;
    span_ = count;
    leave_event();
    progress_.span.store(count, std::memory_order_relaxed);  // relaxed: as in enter_lane().
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  ipc::UndoLog& undo_;
  ipc::Progress& progress_;
  std::uint64_t origin_;
  std::uint64_t undo_limit_;
  std::uint32_t lane_ = ~std::uint32_t{0};  // None yet.
  std::uint32_t span_ = 0;                  // The predecessor's may be any.
};

// Work for many events in a row: what is the same for all of them, and what only this loop counts, is held in locals,
// so that each event costs a handful of stores. An object on the stack of the loop, for as long as that runs: between
// two of its events nothing else begins one. A handler without a Worker (`kHasState` is false) has no recoverable state
// and asks for no id: the undo log does not move in the loop, and begins no event.
template <bool kHasState>
class EventsInTurn {
 public:
  explicit EventsInTurn(Work& work) noexcept
      : batch_{work.batch},
        progress_{work.progress_},
        undo_{work.undo_},
        undo_limit_{work.undo_limit_},
        event_{work.batch.event},
        events_in_{work.batch.events_in} {
    work.note_span(1);
    batch_.undo_boundary = undo_.begin_event();
  }

  // As Work::batch_goes_on().
  bool go_on() const noexcept {
    if constexpr (kHasState) return undo_.tail() <= undo_limit_;
    return true;
  }
  // The next call of a source: its calls are numbered.
  void begin_call() noexcept { begin(events_in_); }
  // As Work::begin_event().
  void begin(std::uint64_t position) noexcept {
    batch_.event = ++event_;
    batch_.out_boundary = batch_.events_out;
    batch_.in_boundary = events_in_;
    batch_.events_in = ++events_in_;
    if constexpr (kHasState) {
      batch_.id.position = position;
      batch_.undo_boundary = undo_.begin_event();
    }
    Work::name_event(progress_, position);
  }

 private:
  Batch& batch_;
  ipc::Progress& progress_;
  ipc::UndoLog& undo_;
  std::uint64_t undo_limit_;
  std::uint64_t event_;
  std::uint64_t events_in_;
};

}  // namespace sluice::detail
