// SPDX-License-Identifier: Apache-2.0
// moodycamel::ReaderWriterQueue: it calls malloc for its blocks, which this program takes from shared memory
// while a queue is made (the linker wraps malloc); afterwards it is only asked for what needs no allocation.
#include <array>
#include <memory>
#include <readerwriterqueue/readerwriterqueue.h>

#include "arena.hpp"
#include "channel.hpp"
#include "paced.hpp"
#include "peer_list.hpp"

extern "C" {
void* __real_malloc(std::size_t bytes);   // NOLINT(bugprone-reserved-identifier): the linker's names.
void* __wrap_malloc(std::size_t bytes) {  // NOLINT(bugprone-reserved-identifier): as above.
  return sluice::bench::Arena::in_use() ? sluice::bench::Arena::allocate(bytes) : __real_malloc(bytes);
}
}

namespace sluice::bench {
namespace {

// Constructed where it lies, by whatever writes it.
template <std::size_t kBytes>
struct Slot : Event<kBytes> {
  Slot() = default;
  explicit Slot(const Event<kBytes>& event) : Event<kBytes>{event} {}
  template <class Write>
  explicit Slot(Write* write) {
    (*write)(reinterpret_cast<std::byte*>(this));
  }
};

template <std::size_t kBytes>
struct ReaderWriter {
  static constexpr std::size_t kEventBytes = kBytes;
  using Queue = moodycamel::ReaderWriterQueue<Slot<kBytes>>;

  ReaderWriter() : arena{8 * kRingBytes} {
    const Arena::Use use{arena};
    for (Queue*& queue : queues)
      queue = new (Arena::allocate(sizeof(Queue))) Queue{kRingBytes / kBytes};
  }

  class Sender {
   public:
    Sender(const ReaderWriter& channel, std::size_t direction) : queue_{*channel.queues[direction]} {}
    bool push(const Event<kBytes>& event) { return queue_.try_emplace(event); }
    template <class Write>
    std::size_t write(std::size_t most, Write&& write) {
      std::size_t written = 0;
      while (written < most && queue_.try_emplace(&write))
        ++written;
      return written;
    }

   private:
    Queue& queue_;
  };

  class Receiver {
   public:
    Receiver(const ReaderWriter& channel, std::size_t direction) : queue_{*channel.queues[direction]} {}
    bool pop(Event<kBytes>& event) { return queue_.try_dequeue(event); }
    template <class Read>
    std::size_t read(Read&& read) {
      std::size_t count = 0;
      for (const Slot<kBytes>* at = nullptr; count < kBatch && (at = queue_.peek()) != nullptr; ++count) {
        read(reinterpret_cast<const std::byte*>(at));
        queue_.pop();
      }
      return count;
    }

   private:
    Queue& queue_;
  };

  Arena arena;
  std::array<Queue*, 2> queues{};  // In the arena; never destroyed, since what they hold is not malloc's.
};

const ListedPeer listed{[](const Options&) { add_ring_peer<ReaderWriter>("peer:readerwriterqueue"); }};

}  // namespace
}  // namespace sluice::bench
