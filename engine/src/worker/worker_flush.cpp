// SPDX-License-Identifier: Apache-2.0
// How the worker loop serves a stage that has effects outside: Worker::before_commit().
//
// Such a stage is committed between two events only. So its batch ends once a lane out is half full, and an event is
// begun only when half of every lane is free. An event that pushes more than that waits for the stages behind, if it is
// the first of its batch; if it is not, those before it would have to be committed in its midst: then the batch is undone
// and done again event by event (DoAgain).
//
// A flush of several events that fails says nothing about which of them is at fault. While it runs no event is named in
// the progress words, and `flushing` says how many events it is of; a replacement that finds that word handles as many
// in batches of one, where the flush that fails again belongs to its event. A kill from outside leaves nothing to find: the
// replacement forgets the word (worker_process.cpp). The word is no part of the commit: one that
// is left although the commit came about costs a few small batches.
#include <algorithm>

#include "worker/worker_access.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

bool WorkerLoop::has_room_for_an_event() {
  return !has_flushes() || out_.without_room() == nullptr;
}

void WorkerLoop::await_room_for_a_flush() {
  while (OutLane* lane = out_.without_room())
    wait_for_room(*lane, [this] { return out_.without_room() == nullptr; });
}

void WorkerLoop::flush_batch() {
  cover();
  if (covered_.empty()) return;
  // In batches of one this says how many are left of them.
  const std::uint64_t events = events_in_batch();
  if (events > 1) {
    memory_.control().outside.flushing.store(events, std::memory_order_relaxed);  // relaxed: own word.
    work_.leave_event();
  }
  WorkerAccess::flush(*worker_, covered_);
}

// After the commit.
void WorkerLoop::note_flushed(std::uint64_t events) noexcept {
  std::atomic<std::uint64_t>& flushing = memory_.control().outside.flushing;
  one_by_one_ -= std::min(events, one_by_one_);
  // relaxed: own word.
  if (flushing.load(std::memory_order_relaxed) != one_by_one_)
    flushing.store(one_by_one_, std::memory_order_relaxed);
}

void WorkerLoop::cover() {
  covered_.clear();
  const auto cursor = [this](std::uint64_t word) {
    return memory_.cursors()[word].load(
        std::memory_order_relaxed);  // relaxed: own word, as of the last commit.
  };
  for (std::size_t index = 0; index < in_.size(); ++index) {
    const InLane& in = in_[index];
    if (in.touched) cover(static_cast<std::uint32_t>(index), cursor(in.word), in.lane.next());
  }
  if (node_.kind == NodeKind::source) cover(0, committed_in_, work_.events_in());
  if (retry_) cover(kRetryLane, Retry::position_of(cursor(kRetried)), retry_->position());
  cover(kLastWord, committed_last_words_, last_words_);
}

void WorkerLoop::cover(std::uint32_t lane, std::uint64_t from, std::uint64_t to) {
  if (from == to) return;
  const std::uint64_t lane_bits = (std::uint64_t{1} << EventId::kLaneBits) - 1;
  covered_.push_back({{(work_.id.origin & ~lane_bits) | lane, from}, to});
}

}  // namespace sluice::detail
