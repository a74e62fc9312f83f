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

namespace sluice::detail {

class EndDescriptor;
class Host;
class HostCommit;
class InputPort;
class Waiter;
struct InLane;

class HostOutlet {
 public:
  HostOutlet(Host& host, NodeIndex node, Waiter& waiter);
  ~HostOutlet();
  HostOutlet(const HostOutlet&) = delete;
  HostOutlet& operator=(const HostOutlet&) = delete;

  // What was handed out before counts, here and wherever more is asked for. Then it calls `handle` with up to
  // `limit` events, as raw payloads; the number handled. Does not block. `handle`
  // returns false for a payload that is no event of its type. Throws Error for a lane whose producer wrote
  // what cannot be, naming it; what came before that is handled.
  using Handle = std::function<bool(std::span<const std::byte>)>;
  std::size_t poll(const Handle& handle, std::size_t limit);
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
  std::size_t poll_lane(InLane& in, const Handle& handle, std::size_t limit);
  bool ready() noexcept;
  // By this thread, which asks for more: what was handed out counts.
  void use(const char* tried);
  void refuse_if_corrupt(InLane& in);

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
