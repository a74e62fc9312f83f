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
    batch.begin_event(position, undo_.begin_event());
    // relaxed: the watchdog wants to see that it changes, no more.
    progress_.event.store(event_word(position), std::memory_order_relaxed);
    // The master, when it looks into a dead worker, must find the event that it died in, not the one before.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // What follows belongs to no event.
  void leave_event() noexcept {
    progress_.event.store(0, std::memory_order_relaxed);  // relaxed: as in begin_event().
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // A source that had nothing was asked, and that is progress; the position stays, since nothing happened.
  void note_look() noexcept {
    // relaxed: own word, and as in begin_event().
    progress_.looks.store(progress_.looks.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  // False once the undo log is so full that the batch had better commit.
  bool batch_goes_on() const noexcept { return undo_.tail() <= undo_limit_; }

  Batch batch;

 private:
  ipc::UndoLog& undo_;
  ipc::Progress& progress_;
  std::uint64_t origin_;
  std::uint64_t undo_limit_;
  std::uint32_t lane_ = ~std::uint32_t{0};  // None yet.
};

}  // namespace sluice::detail
