// SPDX-License-Identifier: Apache-2.0
// The commit: the one step by which the consumed events, the published events and the changed state of a
// batch change together. This file is what exactly-once rests on.
//
// Used by the process that owns the region, in one thread. No call blocks, allocates or makes a system call.
//
// Invariants:
//   committed == applied, or committed == applied + 1 and the record is whole;
//   the record is written only while committed == applied;
//   no cursor of the region is stored anywhere but from a whole record, or with what a whole record has for it.
//
// What a death leaves behind. A process that is killed leaves a prefix of its stores, in program order: the
// kernel confirms the death after the last of them. So the compiler must keep the order, the processor need
// not; the release stores below do the first, and are what the living peers pair with.
//
//   step                                    | died before the next step: the replacement ...
//   ----------------------------------------+------------------------------------------------------------
//   0  events read, slots and state written | undoes the state; tails and heads never moved
//   1  record: every cursor that moves      | the same; committed == applied, the record is not looked at
//   2  committed = k + 1                    | stores all cursors from the record: the batch has happened
//   3  each cursor, in the record's order   | the same again; storing a cursor twice changes nothing
//   4  undo log: base, tail                 | the same again
//   5  applied = k + 1                      | begins batch k + 2
//
//         worker                         peer                      replacement
//   0     slot[7] = x                    sees tail 7
//   1     record {tail: 8, head: 40}     sees tail 7
//   2     committed = 12   <- the batch happens here, whatever dies next
//         *SIGKILL*                      sees tail 7, head 39
//                                                                  committed 12, applied 11: tail = 8, head =
//                                                                  40
//                                        sees tail 8: slot[7] is x
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <sluice/detail/assert.hpp>
#include <sluice/ipc/undo.hpp>

namespace sluice::ipc {

struct alignas(64) CommitHeader {
  // Written by the owner of the region only.
  std::atomic<std::uint64_t> committed;
  std::atomic<std::uint64_t> applied;
  std::uint64_t undo_base;
  std::uint64_t undo_tail;
  std::uint64_t count;
};
static_assert(sizeof(CommitHeader) == 64);

// One cursor that moves: which word of the region's cursor area, and its new value.
struct RedoEntry {
  std::uint64_t word;
  std::uint64_t value;
};

class Commit {
 public:
  Commit(CommitHeader& header, std::span<RedoEntry> record, std::span<std::atomic<std::uint64_t>> cursors,
         UndoLog& undo) noexcept
      : header_{header}, record_{record}, cursors_{cursors}, undo_{undo} {}

  // Step 1, cursor by cursor: word `word` of the region's cursors becomes `value` by the next commit, and not
  // before. A lane's tail is moved before its word `ended`. The record has room for every word of the region
  // that can move, once.
  void move(std::uint64_t word, std::uint64_t value) noexcept {
    SLUICE_ASSERT(committed() == applied());
    SLUICE_ASSERT(count_ < record_.size() && word < cursors_.size());
    record_[count_++] = {word, value};
  }

  // Steps 2 to 5: everything that was moved, and the state as it stands. Peers see it when this returns, or
  // when a replacement has recovered. `undo_keep` is the position in the undo log from which on the entries
  // belong to an event that goes on after this commit; normally the log's tail, which empties the log.
  void commit(std::uint64_t undo_keep) noexcept {
    SLUICE_ASSERT(committed() == applied());
    const std::uint64_t tail = undo_.tail();
    SLUICE_ASSERT(undo_.base() <= undo_keep && undo_keep <= tail && tail <= undo_.capacity_bytes());
    const bool whole = undo_keep == tail;
    header_.undo_base = whole ? 0 : undo_keep;
    header_.undo_tail = whole ? 0 : tail;
    header_.count = count_;
    const std::uint64_t count = std::exchange(count_, 0);
    // relaxed: own word.
    const std::uint64_t next = header_.committed.load(std::memory_order_relaxed) + 1;
    // [commit.committed] release: the whole record, the slots and the state before it; pairs with recover().
    header_.committed.store(next, std::memory_order_release);
    finish(next, count);
  }
  void commit() noexcept { commit(undo_.tail()); }

  // As move() for each of them, in their order, and commit(): for who has all cursors that move in hand, and none of them
  // twice. The same stores in the same order, without a look back at what was just written.
  template <std::same_as<RedoEntry>... Moved>
  [[gnu::always_inline]] void commit_all(const Moved&... moved) noexcept {
    SLUICE_ASSERT(committed() == applied() && count_ == 0 && sizeof...(moved) <= record_.size());
    SLUICE_ASSERT(((moved.word < cursors_.size()) && ...));
    std::atomic<std::uint64_t>* const cursors = cursors_.data();
    CommitHeader& header = header_;
    RedoEntry* entry = record_.data();
    (write_once(entry++, moved), ...);
    header.undo_base = 0;
    header.undo_tail = 0;
    header.count = sizeof...(moved);
    // relaxed: own word.
    const std::uint64_t next = header.committed.load(std::memory_order_relaxed) + 1;
    // [commit.committed] release: as in commit().
    header.committed.store(next, std::memory_order_release);
    // [lane.tail] [lane.head] [lane.ended] release: as in store_cursors(), from values that the record has, too.
    (cursors[moved.word].store(moved.value, std::memory_order_release), ...);
    if (undo_.tail() != 0) undo_.restart(0, 0);
    // [commit.applied] release: as in finish().
    header.applied.store(next, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  // What a process does before anything else with a region that may have had another owner: finishes the
  // commit that had happened and undoes the batch that had not. Dying in the midst of it is nothing special.
  // False when the region does not hold what this code writes: it must not be used.
  bool recover() noexcept {
    count_ = 0;
    // [commit.committed] acquire: the record before it; pairs with commit().
    const std::uint64_t committed = header_.committed.load(std::memory_order_acquire);
    // relaxed: own word; the release of [commit.applied] kept the predecessor's stores in order.
    const std::uint64_t applied = header_.applied.load(std::memory_order_relaxed);
    if (committed != applied) {
      if (committed != applied + 1 || !record_is_sound()) return false;
      finish(committed, header_.count);
    }
    if (!undo_.roll_back()) return false;
    SLUICE_ASSERT(this->committed() == this->applied() && undo_.tail() == undo_.base());
    return true;
  }

  // How many batches the region has committed, by all its owners.
  std::uint64_t committed() const noexcept {
    return header_.committed.load(std::memory_order_relaxed);  // relaxed: own word.
  }

 private:
  // Word by word: of two words that lie side by side compilers make one wide store, and put them together for it, which takes
  // longer.
  static void write_once(RedoEntry* entry, const RedoEntry& moved) noexcept {
    volatile RedoEntry& there = *entry;
    there.word = moved.word;
    there.value = moved.value;
  }

  std::uint64_t applied() const noexcept {
    return header_.applied.load(std::memory_order_relaxed);  // relaxed: own word.
  }

  bool record_is_sound() const noexcept {
    if (header_.count > record_.size() || header_.undo_base > header_.undo_tail ||
        header_.undo_tail > undo_.capacity_bytes()) {
      return false;
    }
    for (std::uint64_t i = 0; i < header_.count; ++i) {
      if (record_[i].word >= cursors_.size()) return false;
    }
    return true;
  }

  // Steps 3 to 5; all of it can be repeated.
  void finish(std::uint64_t batch, std::uint64_t count) noexcept {
    store_cursors(record_.first(count), cursors_.data());
    if (undo_.tail() != 0) undo_.restart(header_.undo_base, header_.undo_tail);
    // [commit.applied] release: all cursors before the record may be written again; pairs with the order of
    // recover(), which looks at the record only if applied is behind.
    header_.applied.store(batch, std::memory_order_release);
    // The next batch writes the record: not before this.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  static void store_cursors(std::span<const RedoEntry> record, std::atomic<std::uint64_t>* cursors) noexcept {
    for (const RedoEntry& entry : record) {
      // [lane.tail] [lane.head] [lane.ended] release: slots are written before tail and read before head, and
      // tail is stored before ended; pairs with the loads in lane.hpp.
      cursors[entry.word].store(entry.value, std::memory_order_release);
    }
  }

  CommitHeader& header_;
  std::span<RedoEntry> record_;
  std::span<std::atomic<std::uint64_t>> cursors_;
  UndoLog& undo_;
  std::uint64_t count_ = 0;
};

}  // namespace sluice::ipc
