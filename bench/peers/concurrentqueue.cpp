// SPDX-License-Identifier: Apache-2.0
// moodycamel::ConcurrentQueue, a queue for many producers, with one: through its token, which is its fastest
// way.
#include <array>
#include <concurrentqueue/concurrentqueue.h>
#include <optional>

#include "arena.hpp"
#include "channel.hpp"
#include "paced.hpp"
#include "peer_list.hpp"

namespace sluice::bench {
namespace {

struct InArena : moodycamel::ConcurrentQueueDefaultTraits {
  static constexpr std::size_t EXPLICIT_INITIAL_INDEX_SIZE =
      8192;  // Its own name; it must not grow it later.
  static void* malloc(std::size_t bytes) noexcept { return Arena::allocate(bytes); }
  static void free(void* /*bytes*/) noexcept {}
};

template <std::size_t kBytes>
struct Concurrent {
  static constexpr std::size_t kEventBytes = kBytes;
  using Queue = moodycamel::ConcurrentQueue<Event<kBytes>, InArena>;

  Concurrent() : arena{16 * kRingBytes} {
    const Arena::Use use{arena};
    for (std::size_t i = 0; i < 2; ++i) {
      queues[i] = new (Arena::allocate(sizeof(Queue))) Queue{kRingBytes / kBytes, 1, 0};
      tokens[i].emplace(*queues[i]);
    }
  }

  class Sender {
   public:
    Sender(const Concurrent& channel, std::size_t direction)
        : queue_{*channel.queues[direction]}, token_{*channel.tokens[direction]} {}
    bool push(const Event<kBytes>& event) { return queue_.try_enqueue(token_, event); }
    std::size_t push(const Event<kBytes>* events, std::size_t count) {
      return queue_.try_enqueue_bulk(token_, events, count) ? count : 0;
    }

   private:
    Queue& queue_;
    const moodycamel::ProducerToken& token_;
  };

  class Receiver {
   public:
    Receiver(const Concurrent& channel, std::size_t direction)
        : queue_{*channel.queues[direction]}, token_{*channel.tokens[direction]} {}
    bool pop(Event<kBytes>& event) { return queue_.try_dequeue_from_producer(token_, event); }
    template <class Read>
    std::size_t read(Read&& read) {
      const std::size_t count = queue_.try_dequeue_bulk_from_producer(token_, events_.data(), kBatch);
      for (std::size_t i = 0; i < count; ++i)
        read(reinterpret_cast<const std::byte*>(&events_[i]));
      return count;
    }

   private:
    Queue& queue_;
    const moodycamel::ProducerToken& token_;
    std::array<Event<kBytes>, kBatch> events_;
  };

  Arena arena;
  std::array<Queue*, 2> queues{};
  std::array<std::optional<moodycamel::ProducerToken>, 2> tokens;  // Destroyed before the arena.
};

const ListedPeer listed{[](const Options&) { add_ring_peer<Concurrent>("peer:concurrentqueue"); }};

}  // namespace
}  // namespace sluice::bench
