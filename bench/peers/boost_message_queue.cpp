// SPDX-License-Identifier: Apache-2.0
// Boost.Interprocess's message_queue: a heap of prioritised messages behind a mutex in shared memory.
#include <array>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <optional>
#include <string>
#include <unistd.h>

#include "messages.hpp"
#include "peer_list.hpp"

namespace sluice::bench {
namespace {

namespace interprocess = boost::interprocess;

class BoostQueue {
 public:
  explicit BoostQueue(std::size_t largest) {
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      const std::string name = fmt::format("sluice-bench-{}-{}", ::getpid(), i);
      queues_[i].emplace(interprocess::create_only, name.c_str(), 1024, largest);
      interprocess::message_queue::remove(name.c_str());  // Both sides have it mapped.
    }
  }

  class Sender {
   public:
    Sender(const BoostQueue& queue, std::size_t direction) : queue_{*queue.queues_[direction]} {}
    bool send(const void* data, std::size_t bytes) { return queue_.try_send(data, bytes, 0); }

   private:
    interprocess::message_queue& queue_;
  };
  class Receiver {
   public:
    Receiver(const BoostQueue& queue, std::size_t direction) : queue_{*queue.queues_[direction]} {}
    std::size_t receive(void* data, std::size_t capacity, std::size_t /*unit*/) {
      interprocess::message_queue::size_type bytes = 0;
      unsigned priority = 0;
      return queue_.try_receive(data, capacity, bytes, priority) ? bytes : 0;
    }

   private:
    interprocess::message_queue& queue_;
  };

 private:
  mutable std::array<std::optional<interprocess::message_queue>, 2> queues_;
};

template <std::size_t kBytes>
using Channel = Messages<BoostQueue, kBytes>;

const ListedPeer listed{
    [](const Options& options) { add_messages<Channel>("peer:boost_message_queue", options); }};

}  // namespace
}  // namespace sluice::bench
