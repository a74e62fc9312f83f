// SPDX-License-Identifier: Apache-2.0
// Boost.Lockfree's spsc_queue: a ring of fixed capacity, placed in shared memory as a whole.
#include <array>
#include <boost/lockfree/spsc_queue.hpp>

#include "channel.hpp"
#include "paced.hpp"
#include "peer_list.hpp"

namespace sluice::bench {
namespace {

template <std::size_t kBytes>
struct BoostSpsc {
  static constexpr std::size_t kEventBytes = kBytes;
  using Queue = boost::lockfree::spsc_queue<Event<kBytes>, boost::lockfree::capacity<kRingBytes / kBytes>>;

  class Sender {
   public:
    Sender(const BoostSpsc& channel, std::size_t direction) : queue_{*channel.queues[direction]} {}
    bool push(const Event<kBytes>& event) { return queue_.push(event); }
    std::size_t push(const Event<kBytes>* events, std::size_t count) { return queue_.push(events, count); }

   private:
    Queue& queue_;
  };

  class Receiver {
   public:
    Receiver(const BoostSpsc& channel, std::size_t direction) : queue_{*channel.queues[direction]} {}
    bool pop(Event<kBytes>& event) { return queue_.pop(event); }
    template <class Read>
    std::size_t read(Read&& read) {
      return queue_.consume_all(
          [&read](const Event<kBytes>& event) { read(reinterpret_cast<const std::byte*>(&event)); });
    }

   private:
    Queue& queue_;
  };

  std::array<Shared<Queue>, 2> queues;
};

const ListedPeer listed{[](const Options&) { add_ring_peer<BoostSpsc>("peer:boost_spsc"); }};

}  // namespace
}  // namespace sluice::bench
