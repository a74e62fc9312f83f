// SPDX-License-Identifier: Apache-2.0
// A lane: one single-producer single-consumer ring between two processes.
//
// LaneProducer is used by the process that owns the ring and its ProducerLine, LaneConsumer by the process
// that owns the ConsumerLine; each by one thread. Neither call blocks, allocates or makes a system call.
//
// Invariants, with positions counted in bytes since the lane was created, never wrapping in practice:
//   head <= tail <= head + capacity            as both sides see it, at every instant and after any death;
//   bytes in [head, tail) are written only before tail covers them and reused only after head has passed;
//   the word `ended` is stored after the tail that it came with, and read before the tail (below);
//   next (private) runs ahead of the published cursor by what the current batch has done and not committed.
//
// What a producer says beside its events is a word in its line. Such a word means "valid once everything before
// the tail that came with it is consumed"; `ended` says that nothing follows that tail. A word needs no position
// and no ring of its own, because of the order in which it is stored and read:
//
//        producer, in one commit                     consumer, in refresh()
//     1  slots
//     2  tail  = T   [lane.tail]  release         a  reads ended  [lane.ended] acquire
//     3  ended = 1   [lane.ended] release         b  reads tail   [lane.tail]  acquire
//
//     a before 3: it reads 0. The end, if there is one, is seen with the next look.
//     a after 3:  then b is after 2 and reads T, the last tail that there is: the stream ends at T.
//
// In the other order, b then a, both 2 and 3 could fall between the two reads: a stale tail would be taken for
// the end, and the events between it and T would be lost. So would they if 3 came before 2. A producer that dies
// between 2 and 3 has both in its commit record, and its replacement stores both again. The consumer keeps no
// word about it: the stream has ended for it when the word is set and its head has come to the tail.
//
// Cursors are not stored here but by the commit (commit.hpp), which makes several of them change at once;
// publish() is for a process that has nothing else to commit.
//
// What the peer wrote is read once, checked, and only then used: a cursor outside the invariant marks the
// lane corrupt and makes it look full to its producer and empty to its consumer.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <sluice/detail/assert.hpp>

namespace sluice::ipc {

// The values of ProducerLine::ended. Anything else is not from this code, and marks the lane corrupt.
inline constexpr std::uint64_t kGoesOn = 0;
inline constexpr std::uint64_t kEnded = 1;

struct alignas(128) ProducerLine {
  // Written by the producer only.
  std::atomic<std::uint64_t> tail;
  std::atomic<std::uint64_t> ended;  // Stored after the tail that it belongs to.
};

struct alignas(128) ConsumerLine {
  // Written by the consumer only.
  std::atomic<std::uint64_t> head;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(ProducerLine) == 128 && offsetof(ProducerLine, tail) == 0 &&
              offsetof(ProducerLine, ended) == 8);
static_assert(sizeof(ConsumerLine) == 128 && offsetof(ConsumerLine, head) == 0);

// Where the parts of one lane are. The pointers are valid in every process of the pipeline.
struct LaneMemory {
  ProducerLine* producer = nullptr;
  ConsumerLine* consumer = nullptr;
  std::byte* ring = nullptr;  // Mapped twice in a row: segment.hpp.
  std::uint64_t capacity_bytes = 0;
};

// One read of a word that the peer may change at any time; the compiler may not read it again after a check.
template <class Word>
Word read_once(const Word& word) noexcept {
  return *static_cast<const volatile Word*>(&word);
}

class LaneProducer {
 public:
  explicit LaneProducer(const LaneMemory& memory) noexcept
      : memory_{memory}, mask_{memory.capacity_bytes - 1} {
    SLUICE_ASSERT(std::has_single_bit(memory.capacity_bytes));
    resume();
  }

  // Takes up where the published cursors stand: at start, and after recovery has set them.
  void resume() noexcept {
    // relaxed: the producer's own words; confirmed death and fork order them after the predecessor's stores.
    next_ = memory_.producer->tail.load(std::memory_order_relaxed);
    ends_ = memory_.producer->ended.load(std::memory_order_relaxed) == kEnded;
    full_at_ = next_;  // Assume full: the first reserve looks.
    boundary_ = next_;
  }

  // Room for `bytes` at the position next(), or nullptr when the lane is too full for them.
  std::byte* reserve(std::uint64_t bytes) noexcept {
    if (full_at_ - next_ < bytes && !refresh(bytes)) return nullptr;
    return place_for(bytes);
  }
  // The same where room is known for them, by reserve() or room().
  std::byte* place_for(std::uint64_t bytes) noexcept {
    std::byte* at = memory_.ring + (next_ & mask_);
    if (bytes >= kLargeBytes) prefetch(at + 2 * bytes);
    return at;
  }
  bool knows_room(std::uint64_t bytes) const noexcept { return full_at_ - next_ >= bytes; }
  // How many bytes can be reserved now; it asks the consumer only if it knows of fewer than `wanted`.
  std::uint64_t room(std::uint64_t wanted) noexcept {
    if (full_at_ - next_ < wanted) refresh(wanted);
    return full_at_ - next_;
  }
  // `bytes`: at most what was reserved.
  void advance(std::uint64_t bytes) noexcept {
    SLUICE_ASSERT(!ends_);
    next_ += bytes;
    SLUICE_ASSERT(full_at_ - next_ <= memory_.capacity_bytes);
  }

  // Nothing follows what was pushed until now: the last call before the stream's last commit or publish().
  void end() noexcept { ends_ = true; }
  bool ends() const noexcept { return ends_; }

  // Events come in numbers; what one of them has pushed can be told from what came before it. Whether it is the first
  // time for this one.
  bool enter_event(std::uint64_t event) noexcept {
    if (event_ == event) return false;
    event_ = event;
    boundary_ = next_;
    return true;
  }
  bool has_entered(std::uint64_t event) const noexcept { return event_ == event; }
  // The position before what `event` has pushed.
  std::uint64_t before(std::uint64_t event) const noexcept {
    if (event_ != event) return next_;
    SLUICE_ASSERT(may_become_tail(boundary_));
    return boundary_;
  }
  // Forgets what `event` has pushed.
  void take_back(std::uint64_t event) noexcept { next_ = before(event); }
  // The same of what was written last, by the event at hand: so many bytes.
  void take_back_last(std::uint64_t bytes) noexcept {
    SLUICE_ASSERT(bytes <= next_ - boundary_);
    next_ -= bytes;
  }

  // Publishes everything up to next() at once; for producers that have nothing to commit with it.
  void publish() noexcept {
    SLUICE_ASSERT(may_become_tail(next_));
    // [lane.tail] release: the slots before tail; pairs with LaneConsumer::refresh().
    memory_.producer->tail.store(next_, std::memory_order_release);
    // [lane.ended] release: tail before the word; pairs with LaneConsumer::refresh().
    if (ends_) memory_.producer->ended.store(kEnded, std::memory_order_release);
  }

  // The same without what `event` has pushed.
  void publish_before(std::uint64_t event) noexcept {
    const std::uint64_t tail = before(event);
    SLUICE_ASSERT(may_become_tail(tail));
    // [lane.tail] release: as in publish().
    memory_.producer->tail.store(tail, std::memory_order_release);
  }

  std::uint64_t next() const noexcept { return next_; }
  // How far it is published.
  std::uint64_t tail() const noexcept {
    return memory_.producer->tail.load(std::memory_order_relaxed);  // relaxed: own word.
  }
  std::uint64_t capacity_bytes() const noexcept { return memory_.capacity_bytes; }
  bool corrupt() const noexcept { return corrupt_; }
  // Bytes that the consumer has not consumed yet, as far as this side knows now.
  std::uint64_t fill_bytes() noexcept {
    refresh(0);
    return next_ - head_seen();
  }

 private:
  // A tail never goes back, nor beyond what was written.
  bool may_become_tail(std::uint64_t position) const noexcept {
    // relaxed: own word.
    const std::uint64_t tail = memory_.producer->tail.load(std::memory_order_relaxed);
    return position - tail <= next_ - tail && next_ - tail <= memory_.capacity_bytes;
  }
  // What comes after the next event in the ring, for writing: a large event's stores outrun the processor's
  // own requests for lines that the consumer has had. Small ones do not, and are slower with it. Never
  // touches a page beyond the ring: the second mapping goes on for as many bytes as the ring has.
  void prefetch(const std::byte* next) const noexcept {
    const std::byte* end = memory_.ring + 2 * memory_.capacity_bytes;
    for (std::uint64_t offset = 0; offset < kPrefetchBytes && next + offset < end; offset += 64)
      __builtin_prefetch(next + offset, 1);
  }
  bool refresh(std::uint64_t bytes) noexcept {
    // [lane.head] acquire: the consumer is done with the bytes before head, they may be overwritten; pairs
    // with the store of head in LaneConsumer::publish() and Commit::store_cursors().
    const std::uint64_t head = memory_.consumer->head.load(std::memory_order_acquire);
    // relaxed: own word. The consumer cannot have consumed what is not published yet, and a head never goes back.
    const std::uint64_t published = memory_.producer->tail.load(std::memory_order_relaxed);
    if (head - head_seen() > published - head_seen()) {
      corrupt_ = true;
      return false;
    }
    full_at_ = head + memory_.capacity_bytes;
    return next_ + bytes - head <= memory_.capacity_bytes;
  }
  // The consumer's head, as it was when this side looked last.
  std::uint64_t head_seen() const noexcept { return full_at_ - memory_.capacity_bytes; }

  static constexpr std::uint64_t kLargeBytes = 512;
  static constexpr std::uint64_t kPrefetchBytes = 1024;

  LaneMemory memory_;
  std::uint64_t mask_;
  std::uint64_t next_ = 0;
  std::uint64_t boundary_ = 0;
  std::uint64_t full_at_ = 0;  // Where the lane is full, as far as this side knows: next_ never passes it.
  std::uint64_t event_ = 0;
  bool ends_ = false;
  bool corrupt_ = false;
};

class LaneConsumer {
 public:
  // `released`: a position of which nothing may be read before somebody else has moved it on; nullptr: what is published
  // may be read.
  explicit LaneConsumer(const LaneMemory& memory,
                        const std::atomic<std::uint64_t>* released = nullptr) noexcept
      : memory_{memory}, released_{released} {
    SLUICE_ASSERT(std::has_single_bit(memory.capacity_bytes));
    resume();
  }

  // Takes up where the published cursors stand: at start, and after recovery has set them.
  void resume() noexcept {
    // relaxed: the consumer's own words; confirmed death and fork order them after the predecessor's stores.
    next_ = memory_.consumer->head.load(std::memory_order_relaxed);
    limit_ = next_;
    end_ = kNowhere;
    look_for_care();
  }

  // Bytes that can be consumed from next() on before a stop or the end of what is published.
  std::uint64_t readable() noexcept {
    if (limit_ == next_) refresh();
    return limit_ - next_;
  }
  // Whether something of what the last look has found is left.
  bool knows_more() const noexcept { return limit_ != next_; }
  const std::byte* data() const noexcept { return memory_.ring + (next_ & (memory_.capacity_bytes - 1)); }
  // `bytes`: at most what is readable.
  void advance(std::uint64_t bytes) noexcept {
    SLUICE_ASSERT(bytes <= limit_ - next_);
    next_ += bytes;
  }
  // The same, to `position`: for a loop that knows where it is.
  void advance_to(std::uint64_t position) noexcept {
    SLUICE_ASSERT(position - next_ <= limit_ - next_);
    next_ = position;
  }

  // Nothing from `position` on is readable until clear_stop(): for an event that must not be handled.
  void stop_at(std::uint64_t position) noexcept {
    stop_ = position;
    limit_ = next_;
    look_for_care();
  }
  void clear_stop() noexcept {
    stop_ = kNowhere;
    look_for_care();
  }
  bool at_stop() const noexcept { return stop_ == next_; }

  // Something is published that may not be read yet, as the last look at the lane found.
  bool held_back() const noexcept { return held_back_; }

  // The stream has ended and all of it is consumed, as the last look at the lane found; call when readable() is 0.
  bool at_end() const noexcept { return end_ == next_; }

  // Publishes next() at once; for consumers that have nothing to commit with it.
  void publish() noexcept {
    // relaxed: own word. A head never goes back, nor beyond what the lane can hold.
    SLUICE_ASSERT(next_ - memory_.consumer->head.load(std::memory_order_relaxed) <= memory_.capacity_bytes);
    // [lane.head] release: the slots are read before they may be overwritten; pairs with
    // LaneProducer::refresh().
    memory_.consumer->head.store(next_, std::memory_order_release);
  }

  std::uint64_t next() const noexcept { return next_; }
  // How far it has given room back.
  std::uint64_t head() const noexcept {
    return memory_.consumer->head.load(std::memory_order_relaxed);  // relaxed: own word.
  }
  std::uint64_t capacity_bytes() const noexcept { return memory_.capacity_bytes; }
  bool corrupt() const noexcept { return corrupt_; }
  void quarantine() noexcept {
    corrupt_ = true;
    limit_ = next_;
    end_ = kNowhere;
    look_for_care();
  }
  // It is corrupt, or at its end, or who reads it is held back by something: seldom. Without it the lane goes on, as far as
  // the last look at it found.
  bool wants_care() const noexcept { return wants_care_; }

 private:
  void refresh() noexcept {
    // [lane.ended] acquire, before tail: the tail that came with the word is there to be read; pairs with the
    // store of ended in LaneProducer::publish() and Commit::store_cursors().
    const ProducerLine& producer = *memory_.producer;
    const std::uint64_t ended = producer.ended.load(std::memory_order_acquire);
    // [lane.tail] acquire: the slots before tail are written; pairs with the store of tail in
    // LaneProducer::publish() and Commit::store_cursors().
    const std::uint64_t tail = producer.tail.load(std::memory_order_acquire);
    // relaxed: own word. The producer has the room that was given back, not yet that of what is only read.
    const std::uint64_t filled = tail - memory_.consumer->head.load(std::memory_order_relaxed);
    // tail < next_: a lane ends before kNowhere, where a position would be taken for it.
    if (wants_care_ || ended != kGoesOn || filled > memory_.capacity_bytes || tail - next_ > filled ||
        tail < next_) [[unlikely]]
      return refresh_with_care(ended, tail, filled);
    limit_ = tail;
  }

  // The same for all cases. `filled`: of the ring, as the two cursors have it.
  [[gnu::noinline]] void refresh_with_care(std::uint64_t ended, std::uint64_t tail,
                                           std::uint64_t filled) noexcept {
    if (corrupt_) return;
    if (filled > memory_.capacity_bytes || tail - next_ > filled || ended > kEnded) return quarantine();
    // What has ended neither grows nor goes on.
    if (end_ != kNowhere && (tail != end_ || ended != kEnded)) return quarantine();
    if (ended == kEnded) end_ = tail;
    limit_ = tail;
    if (released_ != nullptr) hold_back(tail);
    if (stop_ - next_ < limit_ - next_) limit_ = stop_;
    look_for_care();
    SLUICE_ASSERT(limit_ - next_ <= memory_.capacity_bytes);
  }

  void look_for_care() noexcept {
    wants_care_ = corrupt_ || released_ != nullptr || stop_ != kNowhere || end_ != kNowhere;
  }

  void hold_back(std::uint64_t tail) noexcept {
    // [lane.released] acquire: as the tail that it was made of; pairs with the store of who releases.
    const std::uint64_t released = released_->load(std::memory_order_acquire);
    held_back_ = released < tail;
    if (held_back_) limit_ = released > next_ ? released : next_;
  }

  static constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

  LaneMemory memory_;
  const std::atomic<std::uint64_t>* released_;
  std::uint64_t next_ = 0;
  std::uint64_t limit_ = 0;
  std::uint64_t stop_ = kNowhere;
  std::uint64_t end_ = kNowhere;  // Where the stream ends, once that is seen.
  bool held_back_ = false;
  bool corrupt_ = false;
  bool wants_care_ = false;  // One of the above: look_for_care().
};

}  // namespace sluice::ipc
