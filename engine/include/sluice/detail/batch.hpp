// SPDX-License-Identifier: Apache-2.0
// Batch: how far a process has come since its last commit, and where the event in its handler began.
//
// A value. Everything behind the boundaries belongs to that event: the process can commit what came before
// and go on with the event, or give the event up and commit what came before.
#pragma once

#include <atomic>
#include <cstdint>

#include <sluice/detail/progress.hpp>
#include <sluice/ipc/undo.hpp>
#include <sluice/worker.hpp>

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
  void begin_event(EventId next, std::uint64_t undo_tail) noexcept {
    ++event;
    id = next;
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
  Work(ipc::UndoLog& undo, std::atomic<std::uint64_t>& progress) noexcept
      // An event may use what the batch before it has left: at least half of the log.
      : undo_{undo}, progress_{progress}, undo_limit_{undo.capacity_bytes() / 2} {}

  // Before the handler sees an event.
  void begin_event(std::uint32_t lane, std::uint64_t position) noexcept {
    batch.begin_event({lane, position}, undo_.tail());
    // relaxed: the watchdog wants to see that it changes, no more.
    progress_.store(progress_word({lane, position}), std::memory_order_relaxed);
    // The master, when it looks into a dead worker, must find the event that it died in, not the one before.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // A source that had nothing was asked, and that is progress; the position stays, since nothing happened.
  void note_look() noexcept {
    progress_.store(~batch.event, std::memory_order_relaxed);  // relaxed: as in begin_event().
  }
  // False once the undo log is so full that the batch had better commit.
  bool batch_goes_on() const noexcept { return undo_.tail() <= undo_limit_; }

  Batch batch;

 private:
  ipc::UndoLog& undo_;
  std::atomic<std::uint64_t>& progress_;
  std::uint64_t undo_limit_;
};

}  // namespace sluice::detail
