// SPDX-License-Identifier: Apache-2.0
// Work: what a worker's loop and its runner know of the event in the handler, and of the batch that it is in.
//
// Events have numbers, which the undo log counts (UndoLog::event). Everything else that is asked of an event is made of its
// number when it is asked for, which is seldom: how many events of the input came before it, where its entries begin in the
// undo log, and where what it has pushed begins in a lane (LaneProducer::before). So to begin an event takes two stores, its
// number and the progress word. The process can commit what came before it and go on with the event, or give the event up and
// commit what came before.
#pragma once

#include <atomic>
#include <cstdint>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/progress.hpp>
#include <sluice/event_id.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/undo.hpp>

namespace sluice::detail {

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
    id.origin = origin_ | lane;
    leave_event();
    progress_.lane.store(lane, std::memory_order_relaxed);  // relaxed: the fences keep the compiler in order.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // Before the handler sees an event of that lane.
  void begin_event(std::uint64_t position) noexcept {
    note_span(1);
    in_hand_ = 1;
    undo_.begin_event(undo_.event() + 1);
    id.position = position;
    name_event(progress_, position);
  }
  // Before the handler sees `count` events of that lane at once, which lie from `position` to `end`. To the batch they are
  // one.
  void begin_span(std::uint64_t position, std::uint32_t count, std::uint64_t end) noexcept {
    note_span(count);
    leave_event();
    progress_.span_end.store(end, std::memory_order_relaxed);  // relaxed: as in enter_lane().
    std::atomic_signal_fence(std::memory_order_seq_cst);
    in_hand_ = count;
    in_ahead_ += count - 1;
    undo_.begin_event(undo_.event() + 1);
    id.position = position;
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

  // Events of the input since the pipeline began, in all lives of the worker: with the one in the handler, and without it.
  std::uint64_t events_in() const noexcept { return undo_.event() + in_ahead_; }
  std::uint64_t events_before() const noexcept { return events_in() - in_hand_; }
  // The event in the handler is none of the input: it was given up, or never was one.
  void count_no_input() noexcept {
    in_ahead_ -= in_hand_;
    in_hand_ = 0;
  }
  // As a predecessor has left it, or the last commit: so many were handled.
  void resume_after(std::uint64_t events) noexcept {
    in_ahead_ = events - undo_.event();
    in_hand_ = 0;
  }

  EventId
      id;  // The event in the handler; of a handler without a Worker, which cannot ask for it, only its origin.

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
  // Events of the input are as many as the number of the event, and so many more; modulo 2^64.
  std::uint64_t in_ahead_ = 0;
  std::uint64_t in_hand_ = 0;               // So many of them are in the handler.
  std::uint32_t lane_ = ~std::uint32_t{0};  // None yet.
  std::uint32_t span_ = 0;                  // The predecessor's may be any.
};

// Work for many events in a row, each of them one of the input: what is the same for all of them is held in locals. An
// object on the stack of the loop, for as long as that runs: between two of its events nothing else begins one. A handler
// without a Worker (`kHasState` is false) has no recoverable state and asks for no id: the undo log does not grow in the loop.
template <bool kHasState>
class EventsInTurn {
 public:
  explicit EventsInTurn(Work& work) noexcept
      : work_{work},
        progress_{work.progress_},
        undo_{work.undo_},
        undo_limit_{work.undo_limit_},
        event_{work.undo_.event()},
        in_ahead_{work.in_ahead_} {
    work.note_span(1);
    work.in_hand_ = 1;
  }

  // As Work::batch_goes_on().
  bool go_on() const noexcept {
    if constexpr (kHasState) return undo_.tail() <= undo_limit_;
    return true;
  }
  // The next call of a source: its calls are numbered.
  void begin_call() noexcept { begin(event_ + in_ahead_); }
  // As Work::begin_event().
  void begin(std::uint64_t position) noexcept {
    undo_.begin_event(++event_);
    if constexpr (kHasState) work_.id.position = position;
    Work::name_event(progress_, position);
  }

 private:
  Work& work_;
  ipc::Progress& progress_;
  ipc::UndoLog& undo_;
  std::uint64_t undo_limit_;
  std::uint64_t event_;
  std::uint64_t in_ahead_;
};

}  // namespace sluice::detail
