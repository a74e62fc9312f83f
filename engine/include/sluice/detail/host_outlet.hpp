// SPDX-License-Identifier: Apache-2.0
// HostOutlet: the part of an outlet that does not depend on the type of its events.
//
// Used by the host, by one thread at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <sluice/detail/event_type.hpp>
#include <sluice/detail/index.hpp>
#include <sluice/ipc/lane.hpp>

namespace sluice::detail {

class EndDescriptor;
class Host;
class HostCommit;
class InputPort;
class Waiter;

class HostOutlet {
 public:
  HostOutlet(Host& host, NodeIndex node, Waiter& waiter);
  ~HostOutlet();
  HostOutlet(const HostOutlet&) = delete;
  HostOutlet& operator=(const HostOutlet&) = delete;

  // What was handed out before counts, here and wherever more is asked for. Then it calls `take` with the lane in which
  // an event is to be had, up to `limit` times; how often. Does not block. `take` hands the event out and returns how
  // many bytes it has in the lane, 0 for what is no event of its type. Throws Error for a lane whose producer wrote
  // what cannot be, naming it; what came before that is handled.
  template <class Take>
  std::size_t poll(Take&& take, std::size_t limit) {
    use("pull events from");
    std::size_t handled = 0;
    const std::size_t lanes = lane_count();
    std::size_t index = first_;
    for (std::size_t i = 0; i < lanes; ++i) {
      const std::size_t at = index;
      index = index + 1 < lanes ? index + 1 : 0;
      const bool goes_on = handled < limit;
      handled += poll_lane(at, take, limit - handled);
      // The lanes behind this one are the first to be asked by the next poll.
      if (goes_on && handled == limit) first_ = index;
      end_portion(at);
      refuse_if_corrupt(at);
    }
    return handled;
  }
  // The same with what lies in the lane, whatever its type: an event, or the payload of a record.
  std::size_t poll_payloads(const std::function<void(std::span<const std::byte>)>& handle, std::size_t limit);
  // Waits until there is something to poll or the stream has ended, not longer than `limit`.
  bool wait(std::chrono::nanoseconds limit);
  // Every event has been polled and none will follow: the stream has ended, or the pipeline is over; whether
  // it has failed Engine::wait() says.
  bool ended();
  // What was handed out counts.
  void ack();
  // Of what counts.
  std::uint64_t position() const noexcept { return position_; }
  NodeIndex node() const noexcept { return node_; }
  // The thread that has used it last, as this_thread() names it; nullptr: none has.
  const void* user() const noexcept {
    return user_.load(std::memory_order_relaxed);  // relaxed: looked at again and again.
  }

  int fd();
  bool arm();
  void let_go() noexcept;

 private:
  template <class Take>
  std::size_t poll_lane(std::size_t index, Take&& take, std::size_t limit) {
    ipc::LaneConsumer& lane = lane_at(index);
    std::size_t handled = 0;
    // What is there now: a producer that is quicker than the host must not hold it here.
    const std::uint64_t end = lane.next() + lane.readable();
    while (lane.next() != end && handled < limit) {
      const std::uint64_t bytes = take(lane);
      if (bytes == 0) lane.quarantine();
      if (lane.corrupt()) break;
      lane.advance(bytes);
      // Whoever handled the event may have said that what came before counts.
      if (handed_out_++ == 0 || handled == 0) touch(index);
      ++handled;
    }
    return handled;
  }
  std::size_t lane_count() const noexcept;
  ipc::LaneConsumer& lane_at(std::size_t index) noexcept;
  void touch(std::size_t index);
  void end_portion(std::size_t index) noexcept;
  bool ready() noexcept;
  // By this thread, which asks for more: what was handed out counts.
  void use(const char* tried);
  void refuse_if_corrupt(std::size_t index);

  Host& host_;
  NodeIndex node_;
  Waiter& waiter_;
  std::unique_ptr<HostCommit> commit_;
  std::unique_ptr<InputPort> port_;
  EventType type_;
  std::uint64_t position_ = 0;
  std::uint64_t handed_out_ = 0;  // And not counted yet.
  std::size_t first_ = 0;         // The lane that the next poll begins with.
  bool armed_ = false;
  std::atomic<const void*> user_{nullptr};
  std::unique_ptr<EndDescriptor> descriptor_;
};

}  // namespace sluice::detail
