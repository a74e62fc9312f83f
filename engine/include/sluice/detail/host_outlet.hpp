// SPDX-License-Identifier: Apache-2.0
// HostOutlet: the part of an outlet that does not depend on the type of its events.
//
// Used by the host, by one thread at a time.
#pragma once

#include <algorithm>
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
    return poll_lanes(limit,
                      [&](ipc::LaneConsumer& lane, std::size_t most) { return poll_lane(lane, take, most); });
  }
  // The same for events of type T, which all have the same length: calls `handle(const T&)` with each.
  template <class T, class Handle>
  std::size_t poll_values(Handle&& handle, std::size_t limit) {
    return poll_lanes(limit, [&](ipc::LaneConsumer& lane, std::size_t most) {
      return poll_lane_of<T>(lane, handle, most);
    });
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
  // While it lives, a poll hands events out, whatever that throws.
  class HandingOut {
   public:
    explicit HandingOut(bool& flag) noexcept : flag_{flag} { flag_ = true; }
    ~HandingOut() { flag_ = false; }
    HandingOut(const HandingOut&) = delete;
    HandingOut& operator=(const HandingOut&) = delete;

   private:
    bool& flag_;
  };

  template <class PollLane>
  std::size_t poll_lanes(std::size_t limit, PollLane&& poll_lane) {
    ipc::LaneConsumer* const only = use_only();
    const HandingOut whole_poll{handing_out_};
    if (only == nullptr) [[unlikely]]
      return poll_in_turn(limit, poll_lane);
    const std::size_t handled = poll_lane(*only, limit);
    if (handled == 0 || only->wants_care()) [[unlikely]]
      end_portion(0);
    return handled;
  }
  template <class PollLane>
  [[gnu::noinline]] std::size_t poll_in_turn(std::size_t limit, PollLane& poll_lane) {
    std::size_t handled = 0;
    const std::size_t lanes = lane_count();
    std::size_t index = first_;
    for (std::size_t i = 0; i < lanes; ++i) {
      const std::size_t at = index;
      index = index + 1 < lanes ? index + 1 : 0;
      const std::size_t before = handled;
      ipc::LaneConsumer& lane = lane_at(at);
      handled += poll_lane(lane, limit - handled);
      // The lanes behind this one are the first to be asked by the next poll.
      if (before < limit && handled == limit) first_ = index;
      // A lane that has given something goes on; if it does not, the next poll finds out.
      if (handled == before || lane.at_end() || lane.corrupt()) end_portion(at);
    }
    return handled;
  }
  template <class T, class Handle>
  std::size_t poll_lane_of(ipc::LaneConsumer& lane, Handle&& handle, std::size_t limit) {
    // What is there now: a producer that is quicker than the host must not hold it here.
    const std::uint64_t readable = lane.readable();
    const std::uint64_t count = std::min<std::uint64_t>(limit, readable / sizeof(T));
    const T* event = reinterpret_cast<const T*>(lane.data());
    std::uint64_t position = lane.next();
    for (std::uint64_t i = 0; i < count; ++i) {
      handle(event[i]);
      position += sizeof(T);
      // Whoever handled the event may have said that what came before counts.
      lane.advance_to(position);
      ++handed_out_;
    }
    // What is left is no event of its type.
    if (count < limit && readable % sizeof(T) != 0) lane.quarantine();
    return count;
  }
  template <class Take>
  std::size_t poll_lane(ipc::LaneConsumer& lane, Take&& take, std::size_t limit) {
    std::size_t handled = 0;
    // What is there now: a producer that is quicker than the host must not hold it here.
    const std::uint64_t end = lane.next() + lane.readable();
    while (lane.next() != end && handled < limit) {
      const std::uint64_t bytes = take(lane);
      if (bytes == 0) lane.quarantine();
      if (lane.corrupt()) break;
      // Whoever handled the event may have said that what came before counts.
      lane.advance(bytes);
      ++handed_out_;
      ++handled;
    }
    return handled;
  }
  std::size_t lane_count() const noexcept;
  ipc::LaneConsumer& lane_at(std::size_t index) noexcept;
  // Notes whether the lane has ended. Throws Error for one that is corrupt.
  void end_portion(std::size_t index);
  bool ready() noexcept;
  // By this thread, which asks for more: what was handed out counts.
  inline void use(const char* tried);
  // The same for a poll; and the lane, if there is one only. Throws Error within another poll of this outlet, which has its
  // place in the lanes in hand.
  ipc::LaneConsumer* use_only();
  [[noreturn]] void refuse_poll_within() const;
  inline void count_handed_out();
  void disarm() noexcept;

  Host& host_;
  NodeIndex node_;
  Waiter& waiter_;
  std::unique_ptr<HostCommit> commit_;
  std::unique_ptr<InputPort> port_;
  ipc::LaneConsumer* only_ = nullptr;  // The one lane, unless there are several.
  EventType type_;
  std::uint64_t position_ = 0;
  std::uint64_t handed_out_ = 0;  // And not counted yet.
  std::size_t first_ = 0;         // The lane that the next poll begins with.
  bool armed_ = false;
  bool handing_out_ = false;
  std::atomic<const void*> user_{nullptr};
  std::unique_ptr<EndDescriptor> descriptor_;
};

}  // namespace sluice::detail
