// SPDX-License-Identifier: Apache-2.0
// DPDK's rte_ring with one producer and one consumer, in plain shared memory; it needs nothing else of DPDK.
// Its copies are widest for elements of 16 B: an event is a run of them, enqueued as a whole.
#include <array>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>
#include <stdexcept>

#include "channel.hpp"
#include "paced.hpp"
#include "peer_list.hpp"

namespace sluice::bench {
namespace {

template <std::size_t kBytes>
struct RteRing {
  static constexpr std::size_t kEventBytes = kBytes;
  static constexpr unsigned kElementBytes = kBytes < 16 ? 8 : 16;
  static constexpr unsigned kElements = kBytes / kElementBytes;  // Of one event.
  static constexpr unsigned kCount = kRingBytes / kElementBytes;

  RteRing() : bytes{SharedBytes{memory_bytes()}, SharedBytes{memory_bytes()}} {
    for (const SharedBytes& memory : bytes) {
      if (rte_ring_init(at(memory), "bench", kCount, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
        throw std::runtime_error{"rte_ring_init failed"};
    }
  }
  static std::size_t memory_bytes() {
    const ssize_t bytes = rte_ring_get_memsize_elem(kElementBytes, kCount);
    if (bytes < 0) throw std::runtime_error{"rte_ring_get_memsize_elem failed"};
    return static_cast<std::size_t>(bytes);
  }
  static rte_ring* at(const SharedBytes& memory) { return reinterpret_cast<rte_ring*>(memory.data()); }

  // Calls `use` for each event of a reserved run, which may lie in two parts.
  template <class Use>
  static void each(const rte_ring_zc_data& run, unsigned elements, Use&& use) {
    auto* first = static_cast<std::byte*>(run.ptr1);
    auto* second = static_cast<std::byte*>(run.ptr2);
    const unsigned before_wrap = run.n1 < elements ? run.n1 : elements;
    for (unsigned i = 0; i < before_wrap; i += kElements)
      use(first + std::size_t{i} * kElementBytes);
    for (unsigned i = before_wrap; i < elements; i += kElements)
      use(second + std::size_t{i - before_wrap} * kElementBytes);
  }

  class Sender {
   public:
    Sender(const RteRing& channel, std::size_t direction) : ring_{at(channel.bytes[direction])} {}
    bool push(const Event<kBytes>& event) { return push(&event, 1) == 1; }
    std::size_t push(const Event<kBytes>* events, std::size_t count) {
      const auto elements = static_cast<unsigned>(count) * kElements;
      return rte_ring_sp_enqueue_bulk_elem(ring_, events, kElementBytes, elements, nullptr) / kElements;
    }
    template <class Write>
    std::size_t write(std::size_t most, Write&& write) {
      rte_ring_zc_data run{};
      const unsigned elements = rte_ring_enqueue_zc_bulk_elem_start(
          ring_, kElementBytes, static_cast<unsigned>(most) * kElements, &run, nullptr);
      if (elements == 0) return 0;
      each(run, elements, write);
      rte_ring_enqueue_zc_elem_finish(ring_, elements);
      return elements / kElements;
    }

   private:
    rte_ring* ring_;
  };

  class Receiver {
   public:
    Receiver(const RteRing& channel, std::size_t direction) : ring_{at(channel.bytes[direction])} {}
    bool pop(Event<kBytes>& event) {
      return rte_ring_sc_dequeue_bulk_elem(ring_, &event, kElementBytes, kElements, nullptr) != 0;
    }
    template <class Read>
    std::size_t read(Read&& read) {
      rte_ring_zc_data run{};
      const unsigned elements = rte_ring_dequeue_zc_burst_elem_start(
          ring_, kElementBytes, static_cast<unsigned>(kBatch) * kElements, &run, nullptr);
      if (elements == 0) return 0;
      each(run, elements, read);
      rte_ring_dequeue_zc_elem_finish(ring_, elements);
      return elements / kElements;
    }

   private:
    rte_ring* ring_;
  };

  std::array<SharedBytes, 2> bytes;
};

const ListedPeer listed{[](const Options&) { add_ring_peer<RteRing>("peer:rte_ring"); }};

}  // namespace
}  // namespace sluice::bench
