// SPDX-License-Identifier: Apache-2.0
// A lane: one single-producer single-consumer ring between two processes.
//
// LaneProducer is used by the process that owns the ring and its ProducerLine, LaneConsumer by the process
// that owns the ConsumerLine; each by one thread. Neither call blocks, allocates or makes a system call.
//
// Invariants, with positions counted in bytes since the lane was created, never wrapping in practice:
//   head <= tail <= head + capacity            as both sides see it, at every instant and after any death;
//   bytes in [head, tail) are written only before tail covers them and reused only after head has passed;
//   a mark is published before any tail that covers its position, so nobody consumes past an unseen mark;
//   next (private) runs ahead of the published cursor by what the current batch has done and not committed.
//
// Cursors are not stored here but by the commit (commit.hpp), which makes several of them change at once;
// publish() is for whoever has nothing else to commit.
//
// What the peer wrote is read once, checked, and only then used: a cursor outside the invariant marks the
// lane corrupt and makes it look full to its producer and empty to its consumer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <sluice/ipc/relax.hpp>

namespace sluice::ipc {

enum class MarkKind : std::uint32_t {
  end_of_stream = 1,  // Nothing follows this position.
};

// A note beside the events: what stands before `position` came before it.
struct Mark {
  std::uint64_t position;
  std::uint64_t value;
  MarkKind kind;
  std::uint32_t reserved;
};

inline constexpr std::uint64_t kMarksPerLane = 8;

struct alignas(128) ProducerLine {
  // Written by the producer only.
  std::atomic<std::uint64_t> marks_tail;
  std::atomic<std::uint64_t> tail;
  Mark marks[kMarksPerLane];
};

struct alignas(128) ConsumerLine {
  // Written by the consumer only.
  std::atomic<std::uint64_t> marks_head;
  std::atomic<std::uint64_t> head;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::is_trivially_copyable_v<Mark> && sizeof(Mark) == 24);
static_assert(sizeof(ProducerLine) == 256 && offsetof(ProducerLine, tail) == 8);
static_assert(sizeof(ConsumerLine) == 128 && offsetof(ConsumerLine, head) == 8);

constexpr bool is_known(MarkKind kind) noexcept {
  return kind == MarkKind::end_of_stream;
}

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
  explicit LaneProducer(const LaneMemory& memory) noexcept : memory_{memory} { resume(); }

  // Takes up where the published cursors stand: at start, and after recovery has set them.
  void resume() noexcept {
    // relaxed: the producer's own words; confirmed death and fork order them after the predecessor's stores.
    next_ = memory_.producer->tail.load(std::memory_order_relaxed);
    marks_next_ = memory_.producer->marks_tail.load(std::memory_order_relaxed);
    marks_published_ = marks_next_;
    head_cache_ = next_ - memory_.capacity_bytes;  // Assume full: the first reserve looks.
    boundary_ = next_;
  }

  // Room for `bytes` at the position next(), or nullptr when the lane is too full for them.
  std::byte* reserve(std::uint64_t bytes) noexcept {
    if (next_ + bytes - head_cache_ > memory_.capacity_bytes && !refresh(bytes)) return nullptr;
    std::byte* at = memory_.ring + (next_ & (memory_.capacity_bytes - 1));
    if (bytes >= kLargeBytes) prefetch(at + 2 * bytes);
    return at;
  }
  void advance(std::uint64_t bytes) noexcept { next_ += bytes; }

  // False when the ring of marks is full, or the lane corrupt.
  bool push_mark(MarkKind kind, std::uint64_t value) noexcept {
    // [lane.marks_head] acquire: the consumer has read the marks that are overwritten; pairs with the
    // store of marks_head in LaneConsumer::publish() and Commit::store_cursors().
    const std::uint64_t head = memory_.consumer->marks_head.load(std::memory_order_acquire);
    // relaxed: own word. A mark that is not published yet nobody can have passed.
    if (memory_.producer->marks_tail.load(std::memory_order_relaxed) - head > kMarksPerLane) corrupt_ = true;
    if (corrupt_ || marks_next_ - head >= kMarksPerLane) return false;
    memory_.producer->marks[marks_next_ % kMarksPerLane] = Mark{next_, value, kind, 0};
    ++marks_next_;
    return true;
  }

  // Events come in numbers; what one of them has pushed can be told from what came before it.
  void enter_event(std::uint64_t event) noexcept {
    if (event_ != event) {
      event_ = event;
      boundary_ = next_;
    }
  }
  // The position before what `event` has pushed.
  std::uint64_t before(std::uint64_t event) const noexcept { return event_ == event ? boundary_ : next_; }
  // Forgets what `event` has pushed.
  void take_back(std::uint64_t event) noexcept { next_ = before(event); }

  // Publishes everything up to next() at once; for producers that have nothing to commit with it.
  void publish() noexcept {
    if (marks_published_ != marks_next_) {
      // [lane.marks_tail] release: the marks before their cursor; pairs with LaneConsumer::refresh().
      memory_.producer->marks_tail.store(marks_next_, std::memory_order_release);
      marks_published_ = marks_next_;
    }
    // [lane.tail] release: the slots before tail; pairs with LaneConsumer::refresh().
    memory_.producer->tail.store(next_, std::memory_order_release);
  }

  std::uint64_t next() const noexcept { return next_; }
  std::uint64_t marks_next() const noexcept { return marks_next_; }
  std::uint64_t capacity_bytes() const noexcept { return memory_.capacity_bytes; }
  bool corrupt() const noexcept { return corrupt_; }
  // The end of stream is its last mark: nothing may follow.
  bool ends() const noexcept {
    return marks_next_ != 0 &&
           memory_.producer->marks[(marks_next_ - 1) % kMarksPerLane].kind == MarkKind::end_of_stream;
  }
  // Bytes that the consumer has not consumed yet, as far as this side knows now.
  std::uint64_t fill_bytes() noexcept {
    refresh(0);
    return next_ - head_cache_;
  }

 private:
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
    // relaxed: own word. What is not published yet nobody can have consumed, and a head never goes back.
    const std::uint64_t published = memory_.producer->tail.load(std::memory_order_relaxed);
    if (head - head_cache_ > published - head_cache_) {
      corrupt_ = true;
      return false;
    }
    head_cache_ = head;
    return next_ + bytes - head <= memory_.capacity_bytes;
  }

  static constexpr std::uint64_t kLargeBytes = 512;
  static constexpr std::uint64_t kPrefetchBytes = 1024;

  LaneMemory memory_;
  std::uint64_t next_ = 0;
  std::uint64_t head_cache_ = 0;
  std::uint64_t boundary_ = 0;
  std::uint64_t event_ = 0;
  std::uint64_t marks_next_ = 0;
  std::uint64_t marks_published_ = 0;  // By publish(); what a commit has published may be published again.
  bool corrupt_ = false;
};

class LaneConsumer {
 public:
  explicit LaneConsumer(const LaneMemory& memory) noexcept : memory_{memory} { resume(); }

  // Takes up where the published cursors stand: at start, and after recovery has set them.
  void resume() noexcept {
    // relaxed: the consumer's own words; confirmed death and fork order them after the predecessor's stores.
    next_ = memory_.consumer->head.load(std::memory_order_relaxed);
    marks_next_ = memory_.consumer->marks_head.load(std::memory_order_relaxed);
    marks_published_ = marks_next_;
    looked_at_ = next_;
    limit_ = next_;
    marks_tail_cache_ = marks_next_;
  }

  // Bytes that can be consumed from next() on before a mark or the end of what is published.
  std::uint64_t readable() noexcept {
    if (limit_ == next_) refresh();
    return limit_ - next_;
  }
  // readable(), for a consumer that looks at this lane again and again and at no other; its events have
  // `event_bytes` or more. Two things make it faster than readable():
  //   A look takes the line of the tail away from the producer, which then waits for it with every event that
  //   it publishes. When the last look found more than one event, they come in a stream: this lets some more
  //   of them come first, for kGatherRelaxes (0.1 us). An event that comes alone is never made to wait. While
  //   there is nothing it asks for the next slot too, which then does not come after the tail, but with it.
  std::uint64_t watch(std::uint64_t event_bytes) noexcept {
    if (limit_ != next_) return limit_ - next_;
    if (next_ - looked_at_ > event_bytes) {
      for (int i = 0; i < kGatherRelaxes; ++i)
        relax();
    }
    looked_at_ = next_;
    refresh();
    if (limit_ == next_) __builtin_prefetch(data());
    return limit_ - next_;
  }
  const std::byte* data() const noexcept { return memory_.ring + (next_ & (memory_.capacity_bytes - 1)); }
  void advance(std::uint64_t bytes) noexcept { next_ += bytes; }

  // Nothing from `position` on is readable until clear_stop(): for an event that must not be handled.
  void stop_at(std::uint64_t position) noexcept {
    stop_ = position;
    limit_ = next_;
  }
  void clear_stop() noexcept { stop_ = kNoStop; }
  bool at_stop() const noexcept { return stop_ == next_; }

  // The mark that stands at next(), if there is one; call when readable() is 0.
  const Mark* mark() const noexcept {
    if (marks_next_ == marks_tail_cache_) return nullptr;
    const Mark& mark = memory_.producer->marks[marks_next_ % kMarksPerLane];
    return read_once(mark.position) == next_ ? &mark : nullptr;
  }
  void pass_mark() noexcept { ++marks_next_; }

  // Publishes next() at once; for consumers that have nothing to commit with it.
  void publish() noexcept {
    if (marks_published_ != marks_next_) {
      // [lane.marks_head] release: the marks are read before they may be overwritten; pairs with push_mark().
      memory_.consumer->marks_head.store(marks_next_, std::memory_order_release);
      marks_published_ = marks_next_;
    }
    // [lane.head] release: the slots are read before they may be overwritten; pairs with
    // LaneProducer::refresh().
    memory_.consumer->head.store(next_, std::memory_order_release);
  }

  std::uint64_t next() const noexcept { return next_; }
  std::uint64_t marks_next() const noexcept { return marks_next_; }
  std::uint64_t capacity_bytes() const noexcept { return memory_.capacity_bytes; }
  bool corrupt() const noexcept { return corrupt_; }
  void quarantine() noexcept {
    corrupt_ = true;
    limit_ = next_;
  }

 private:
  void refresh() noexcept {
    if (corrupt_) return;
    // [lane.tail] acquire: the slots before tail are written; pairs with the store of tail in
    // LaneProducer::publish() and Commit::store_cursors().
    const std::uint64_t tail = memory_.producer->tail.load(std::memory_order_acquire);
    // [lane.marks_tail] acquire, after tail: a mark is published before a tail that covers it; pairs with
    // the store of marks_tail in LaneProducer::publish() and Commit::store_cursors().
    const std::uint64_t marks_tail = memory_.producer->marks_tail.load(std::memory_order_acquire);
    if (tail - next_ > memory_.capacity_bytes || marks_tail - marks_next_ > kMarksPerLane) {
      quarantine();
      return;
    }
    marks_tail_cache_ = marks_tail;
    limit_ = tail;
    if (marks_next_ != marks_tail) {
      const Mark& mark = memory_.producer->marks[marks_next_ % kMarksPerLane];
      const std::uint64_t ahead = read_once(mark.position) - next_;
      // Behind what is consumed, or further ahead than the producer can be: nobody would ever reach it.
      if (ahead > memory_.capacity_bytes || !is_known(read_once(mark.kind))) return quarantine();
      // The mark may have come after this tail was read: then it lies beyond it and sets no limit yet.
      if (ahead < limit_ - next_) limit_ = next_ + ahead;
    }
    if (stop_ - next_ < limit_ - next_) limit_ = stop_;
  }

  static constexpr std::uint64_t kNoStop = ~std::uint64_t{0};
  static constexpr int kGatherRelaxes = 8;

  LaneMemory memory_;
  std::uint64_t next_ = 0;
  std::uint64_t limit_ = 0;
  std::uint64_t stop_ = kNoStop;
  std::uint64_t marks_next_ = 0;
  std::uint64_t marks_tail_cache_ = 0;
  std::uint64_t marks_published_ = 0;  // By publish(); what a commit has published may be published again.
  std::uint64_t looked_at_ = 0;        // Where the consumer was when watch() last looked at the tail.
  bool corrupt_ = false;
};

}  // namespace sluice::ipc
