// SPDX-License-Identifier: Apache-2.0
// Counters with one writer, a process: what a region tells of its owner's work.
//
// Not exact across a death (a count may be lost with the batch that dies); events in and out are exact and
// live among the cursors, because the commit moves them.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::ipc {

class Counter {
 public:
  // By the one process that owns the region, in one thread.
  void add(std::uint64_t amount = 1) noexcept {
    // relaxed: one writer, and readers want a recent value, not an order. No read-modify-write is needed.
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  // The same where several of its threads count: the host's, on their slow path.
  void add_among_threads() noexcept {
    value_.fetch_add(1, std::memory_order_relaxed);  // relaxed: as above.
  }
  // By any process, at any time.
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_;
};

struct alignas(64) Counters {
  // Written by the owner of the region only.
  Counter batches;
  Counter waits;          // Times there was no input.
  Counter full_waits;     // Times an output was full.
  Counter dropped;        // Events that a full lane's policy gave up.
  Counter unasked_wakes;  // Input that no doorbell announced: must stay 0.
  Counter split_commits;  // Commits in the midst of an event, to make room.
  Counter rings;          // Doorbells rung.
  Counter shed;           // Events given up because the worker that they were for is shed.
};
static_assert(sizeof(Counters) == 64);

}  // namespace sluice::ipc
