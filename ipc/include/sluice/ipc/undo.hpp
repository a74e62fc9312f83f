// SPDX-License-Identifier: Apache-2.0
// The undo log: the old bytes of every piece of state that the current batch has changed.
//
// Used by the process that owns the region, in one thread; what it holds is read again by the replacement of
// that process. No call blocks or allocates.
//
// Invariants, at every instant, so that a process may die at any of them:
//   base <= tail <= capacity; the entries between base and tail are complete and newest last;
//   bytes of the state differ from their last committed value only where an entry covers them;
//   an entry is complete before tail covers it, and tail covers it before the state changes;
//   the bytes of an entry may be written anew where one below it covers the same: that is put back later.
// Against the death of the process it is enough that the compiler keeps this order: the survivor sees a
// prefix of the program's stores (commit.hpp).
//
// base is 0 except while one event is committed in two parts (see Commit::commit).
//
// Events have numbers, and where the entries of an event begin is found out when it notes something for the first time: an
// event that notes nothing costs the log nothing.
//
// What an event has noted need not be noted again: the older entry brings back what was there before the event, and
// nothing goes back to the midst of one. So the process remembers what it has noted since the event began, as far as some
// places go: enough for state that is changed again and again, no promise for every pattern. It is a memory of the process
// alone; the one that replaces it goes by the entries.
//
// Most handlers that change state change one piece of it with each event. The first of these entries of a batch is what a death
// goes back to, the newest what giving up the event at hand goes back to; nothing ever goes back to one between. So from the
// third event on the newest is written anew, and the log has two entries, however many events a batch has.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <sluice/detail/assert.hpp>
#include <sluice/ipc/page_stamps.hpp>

namespace sluice::ipc {

struct alignas(64) UndoHeader {
  // Written by the owner of the region only.
  std::atomic<std::uint64_t> base;
  std::atomic<std::uint64_t> tail;
};
static_assert(sizeof(UndoHeader) == 64);

class UndoLog {
 public:
  // `stamps`: of the pages of the state.
  UndoLog(UndoHeader& header, std::span<std::byte> entries, std::span<std::byte> state,
          const PageStamps& stamps = {}) noexcept
      : header_{header}, entries_{entries}, state_{state}, stamps_{stamps} {}

  // Notes the `bytes` at `address`, which lie in the state as a whole, before they are changed.
  // It takes their number, rounded up to 8, and 16 more, or nothing if this event is remembered to have noted them, or the two
  // before it to have noted them first. False when the log has no room for that: then nothing was noted and nothing may be
  // changed.
  // Inlined, so that the compiler knows the length where the caller does: a copy of eight bytes is no call.
  [[gnu::always_inline]] bool note(const std::byte* address, std::size_t bytes) noexcept {
    if (address == again_ && bytes == first_bytes_) {
      if (noting_ != event_) note_again(address, bytes);
      return true;
    }
    const std::uint64_t tail = header_.tail.load(std::memory_order_relaxed);  // relaxed: own word.
    SLUICE_ASSERT(base() <= tail && tail <= entries_.size());
    SLUICE_ASSERT(lies_in_the_state(address, bytes));
    const auto offset = static_cast<std::uint64_t>(address - state_.data());
    const bool first = noting_ != event_;
    if (!first && is_noted(offset, bytes)) return true;
    const std::uint64_t padded = (bytes + 7) & ~std::uint64_t{7};
    if (padded + sizeof(Trailer) > entries_.size() - tail) return false;
    // Copies of what the compiler would otherwise load again behind each store of bytes.
    UndoHeader& header = header_;
    std::byte* const entry = entries_.data() + tail;
    std::memcpy(entry, address, bytes);
    const Trailer trailer{offset, bytes};
    std::memcpy(entry + padded, &trailer, sizeof(trailer));
    stamps_.mark(offset, bytes);
    // [undo.tail] release: the entry before its cursor, for the process that replaces this one; pairs with
    // the load of tail in roll_back().
    header.tail.store(tail + padded + sizeof(Trailer), std::memory_order_release);
    // The state changes after the cursor: the compiler may not move those stores up.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (!first) {
      again_ = nullptr;  // This entry is the newest.
      noted_[place_of(offset)] = {offset, bytes, memory()};
      return true;
    }
    // Whether one of the entries below covers the same: the first one of the event before.
    const bool twice = noting_ != 0 && first_offset_ == offset && first_bytes_ == bytes;
    again_ = twice ? address : nullptr;
    noting_ = event_;
    first_offset_ = offset;
    boundary_ = tail;
    first_bytes_ = bytes;
    return true;
  }

  // The `bytes` at `address` change, and need not be brought back: nothing committed has ever been there.
  void touch(const std::byte* address, std::size_t bytes) noexcept {
    SLUICE_ASSERT(lies_in_the_state(address, bytes));
    stamps_.mark(static_cast<std::uint64_t>(address - state_.data()), bytes);
  }

  // An event begins: it can be taken back without those before it, so that they have noted nothing for it. The position
  // to roll back to: what it notes stands behind that.
  std::uint64_t begin_event() noexcept {
    ++event_;
    again_ = nullptr;
    return tail();
  }
  // The same for a loop that counts for itself: `number` is the next one.
  void begin_event(std::uint64_t number) noexcept {
    SLUICE_ASSERT(number == event_ + 1);
    event_ = number;
  }
  // The number of the event that began last; from 1.
  const std::uint64_t& event() const noexcept { return event_; }
  // The position to roll back to so that it has changed nothing.
  std::uint64_t before_event() const noexcept { return noting_ == event_ ? boundary_ : tail(); }

  // Puts the old bytes back, newest first, down to the position `to`, which tail() gave before. Each step can
  // be repeated. False when an entry is not one that note() writes: the log is corrupt and the state must not
  // be used. Without `to`: all that is not committed.
  bool roll_back(std::uint64_t to) noexcept {
    // [undo.tail] [undo.restored] acquire: the entries before their cursor, and bytes that are back before an
    // entry is missing; pairs with the stores in note(), restart() and below.
    std::uint64_t tail = header_.tail.load(std::memory_order_acquire);
    if (tail > entries_.size() || to > tail) return false;
    forget();
    while (tail > to) {
      Trailer trailer{};
      if (tail - to < sizeof(trailer)) return false;
      std::memcpy(&trailer, entries_.data() + tail - sizeof(trailer), sizeof(trailer));
      const std::uint64_t room = tail - to - sizeof(trailer);
      if (trailer.bytes > room || ((trailer.bytes + 7) & ~std::uint64_t{7}) > room) return false;
      if (trailer.bytes > state_.size() || trailer.offset > state_.size() - trailer.bytes) return false;
      tail -= sizeof(trailer) + ((trailer.bytes + 7) & ~std::uint64_t{7});
      stamps_.mark(trailer.offset, trailer.bytes);
      std::memcpy(state_.data() + trailer.offset, entries_.data() + tail, trailer.bytes);
      // [undo.restored] release: the bytes are back before the entry is given up, so that the process that
      // replaces this one repeats the step or is past it; pairs with the load of tail in roll_back().
      header_.tail.store(tail, std::memory_order_release);
    }
    // What is noted next overwrites these entries: not before the cursor has given them up.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return true;
  }
  bool roll_back() noexcept { return roll_back(base()); }

  // relaxed: own words, written by this process or by a predecessor whose death is confirmed.
  std::uint64_t base() const noexcept { return header_.base.load(std::memory_order_relaxed); }
  std::uint64_t tail() const noexcept { return header_.tail.load(std::memory_order_relaxed); }

  std::span<std::byte> state() const noexcept { return state_; }
  std::size_t capacity_bytes() const noexcept { return entries_.size(); }

 private:
  friend class Commit;
  // Gives up the entries before `base`; by the commit only, which can repeat it.
  void restart(std::uint64_t base, std::uint64_t tail) noexcept {
    SLUICE_ASSERT(base <= tail && tail <= entries_.size());
    again_ = nullptr;  // What was below the newest entry may be given up.
    // What is kept are the entries of the event that goes on.
    if (base == tail) forget();
    // Base never passes tail on the way: it rises only up to a tail that stays, and is lowered before tail
    // is. [undo.tail] release: the cursors of the lanes before them; pairs with the load in roll_back().
    header_.base.store(base, std::memory_order_release);
    header_.tail.store(tail, std::memory_order_release);
  }

  // The newest entry is of the event before, and becomes that of this one. Below it is one that covers the same and is put back
  // later: a death in the midst of this is nothing special, whatever it leaves in the entry.
  [[gnu::always_inline]] void note_again(const std::byte* address, std::size_t bytes) noexcept {
    SLUICE_ASSERT(base() < boundary_ &&  // NOLINT(bugprone-sizeof-expression): it is not evaluated.
                  boundary_ + ((bytes + 7) & ~std::uint64_t{7}) + sizeof(Trailer) == tail());
    std::memcpy(entries_.data() + boundary_, address, bytes);
    stamps_.mark(static_cast<std::uint64_t>(address - state_.data()), bytes);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // The state changes after that.
    noting_ = event_;
  }

  bool lies_in_the_state(const std::byte* address, std::size_t bytes) const noexcept {
    const auto offset = static_cast<std::size_t>(address - state_.data());
    return offset <= state_.size() && bytes <= state_.size() - offset;
  }

  struct Trailer {
    std::uint64_t offset;  // Into the state.
    std::uint64_t bytes;
  };

  // A piece of state that was noted. What has another memory than the log has now counts no more.
  struct Noted {
    std::uint64_t offset;
    std::uint64_t bytes;
    std::uint64_t memory;  // 0 for what never was.
  };
  bool is_noted(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    if (first_offset_ == offset && first_bytes_ >= bytes) return true;
    const Noted& noted = noted_[place_of(offset)];
    return noted.memory == memory() && noted.offset == offset && noted.bytes >= bytes;
  }
  // Another one with each event, and each time that the log has forgotten: both only grow.
  std::uint64_t memory() const noexcept { return event_ + forgotten_; }
  void forget() noexcept {
    again_ = nullptr;
    noting_ = 0;
    ++forgotten_;
  }
  static constexpr unsigned kPlaceBits = 6;
  static constexpr std::size_t place_of(std::uint64_t offset) noexcept {
    return offset * 0x9e3779b97f4a7c15ULL >> (64U - kPlaceBits);
  }

  UndoHeader& header_;
  std::span<std::byte> entries_;
  std::span<std::byte> state_;
  PageStamps stamps_;
  std::uint64_t event_ = 1;
  // What note_again() is for, nullptr: nothing. The newest entry is the one of the event that has noted something last, and
  // covers this, for as many bytes as that has noted first; and so does one below it, not below base.
  const std::byte* again_ = nullptr;
  // The event that has noted something, 0: none has; what it has noted first, and where its entries begin. In an order in
  // which no two that are stored together lie side by side: compilers make one wide store of them, which takes longer.
  std::uint64_t noting_ = 0;
  std::uint64_t forgotten_ = 0;
  std::uint64_t first_offset_ = 0;
  std::uint64_t boundary_ = 0;
  std::uint64_t first_bytes_ = 0;
  Noted noted_[std::size_t{1} << kPlaceBits]{};  // And last of those pieces that have the same place.
};

}  // namespace sluice::ipc
