// SPDX-License-Identifier: Apache-2.0
// The baseline: the least that a single-producer single-consumer ring in shared memory can be.
//
// A power of two of fixed slots, two cursors on lines of their own, each side with a cached copy of the
// other's. No records, no end of stream, no checks of what the peer wrote, nothing that a death could be recovered
// from. What a lane costs above this is what those cost.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sluice::bench {

// The cursors' lines are this far apart unless that is the question.
inline constexpr std::size_t kBareCursorsApart = 128;

struct BareMemory {
  std::atomic<std::uint64_t>* tail;  // Written by the producer only.
  std::atomic<std::uint64_t>* head;  // Written by the consumer only.
  std::byte* slots;
  std::uint64_t count;  // A power of two.
};

template <std::size_t kSlotBytes>
class BareProducer {
 public:
  explicit BareProducer(const BareMemory& memory) : memory_{memory} {}

  std::byte* reserve() noexcept {
    if (next_ - head_cache_ == memory_.count) {
      // [bare.head] acquire: the slots before head are read; pairs with BareConsumer::publish().
      head_cache_ = memory_.head->load(std::memory_order_acquire);
      if (next_ - head_cache_ == memory_.count) return nullptr;
    }
    return memory_.slots + (next_ & (memory_.count - 1)) * kSlotBytes;
  }
  void advance() noexcept { ++next_; }
  void publish() noexcept {
    // [bare.tail] release: the slots before tail are written; pairs with BareConsumer::peek().
    memory_.tail->store(next_, std::memory_order_release);
  }

 private:
  BareMemory memory_;
  std::uint64_t next_ = 0;
  std::uint64_t head_cache_ = 0;
};

template <std::size_t kSlotBytes>
class BareConsumer {
 public:
  explicit BareConsumer(const BareMemory& memory) : memory_{memory} {}

  const std::byte* peek() noexcept {
    if (next_ == tail_cache_) {
      // [bare.tail] acquire: the slots before tail are written; pairs with BareProducer::publish().
      tail_cache_ = memory_.tail->load(std::memory_order_acquire);
      if (next_ == tail_cache_) return nullptr;
    }
    return memory_.slots + (next_ & (memory_.count - 1)) * kSlotBytes;
  }
  void advance() noexcept { ++next_; }
  void publish() noexcept {
    // [bare.head] release: the slots before head are read; pairs with BareProducer::reserve().
    memory_.head->store(next_, std::memory_order_release);
  }

 private:
  BareMemory memory_;
  std::uint64_t next_ = 0;
  std::uint64_t tail_cache_ = 0;
};

}  // namespace sluice::bench
