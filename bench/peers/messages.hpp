// SPDX-License-Identifier: Apache-2.0
// What carries messages of bytes through the kernel or through a library of its own, as a channel: an event
// is a message, and a batch is one message of up to 32 events, which is the best way to use each of these.
//
// `Medium{largest_message}` is made before the processes part and has Sender{medium, direction} with
// bool send(const void*, bytes), and Receiver{medium, direction} with size_t receive(void*, capacity, event
// bytes): the bytes of one message, 0 when there is none.
#pragma once

#include <array>

#include "traffic.hpp"

namespace sluice::bench {

template <class Medium, std::size_t kBytes, std::size_t kLargest = kBytes* kBatch>
struct Messages {
  static constexpr std::size_t kEventBytes = kBytes;
  static constexpr std::size_t kEventsAMessage = std::min(kBatch, kLargest / kBytes);

  class SingleSender {
   public:
    SingleSender(const Messages& channel, std::size_t direction) : end_{channel.medium, direction} {}
    bool push(const Event<kBytes>& event) { return end_.send(&event, kBytes); }

   protected:
    typename Medium::Sender end_;
  };
  class BatchSender : public SingleSender {
   public:
    using SingleSender::push;
    using SingleSender::SingleSender;
    std::size_t push(const Event<kBytes>* events, std::size_t count) {
      return this->end_.send(events, count * kBytes) ? count : 0;
    }
  };
  // Where 32 events are too large for a message there is no batch to measure.
  using Sender = std::conditional_t<kEventsAMessage == kBatch, BatchSender, SingleSender>;

  class Receiver {
   public:
    Receiver(const Messages& channel, std::size_t direction) : end_{channel.medium, direction} {}
    bool pop(Event<kBytes>& event) {
      if (next_ == count_) {
        count_ = end_.receive(events_.data(), sizeof(events_), kBytes) / kBytes;
        next_ = 0;
        if (count_ == 0) return false;
      }
      event = events_[next_++];
      return true;
    }
    template <class Read>
    std::size_t read(Read&& read) {
      const std::size_t count = end_.receive(events_.data(), sizeof(events_), kBytes) / kBytes;
      for (std::size_t i = 0; i < count; ++i)
        read(reinterpret_cast<const std::byte*>(&events_[i]));
      return count;
    }

   private:
    std::array<Event<kBytes>, kBatch> events_;
    typename Medium::Receiver end_;
    std::size_t next_ = 0;  // What a pipe gave beyond the event that was asked for.
    std::size_t count_ = 0;
  };

  Medium medium{kBytes * kEventsAMessage};
};

}  // namespace sluice::bench
