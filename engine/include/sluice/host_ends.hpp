// SPDX-License-Identifier: Apache-2.0
// Inlets and outlets: where the host pushes events into a pipeline and pulls events out of it.
//
// Got from Engine::inlet<T>(name) and Engine::outlet<T>(name) after the start; each is used by one thread at
// a time and lives as long as the engine. What is pushed is published at once. With segment.path a push, and
// a poll, happens as a whole or not at all, also when the host dies in it; position() tells a host that was
// resumed which.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sluice/detail/host_inlet.hpp>
#include <sluice/detail/host_outlet.hpp>
#include <sluice/event.hpp>
#include <sluice/push_result.hpp>

namespace sluice {

// Where the host pushes events of type T.
template <Event T>
class Inlet {
 public:
  // Blocks while a lane is full and its policy is `block`. Throws Error for a record larger than the lane,
  // for a full lane whose policy is `fail`, and for one whose consumer's cursor is out of range; no
  // stage gets that event then.
  PushResult push(const T& event) { return end_->push(event); }
  // Nothing follows; the stages end once they have handled what was pushed. Can be repeated; does not block.
  void close() { end_->close(); }
  // It was closed, by this process or in a former life.
  bool closed() const noexcept { return end_->closed(); }
  // Events that were pushed, and accepted or dropped, since the pipeline began: in all its lives. A host that
  // was resumed goes on with the event of this number, counted from 0.
  std::uint64_t position() const noexcept { return end_->position(); }

 private:
  friend class Engine;
  explicit Inlet(detail::HostInlet& end) noexcept : end_{&end} {}

  detail::HostInlet* end_;
};

// Where the host pulls events of type T.
template <Event T>
class Outlet {
 public:
  // Calls `handle(const T&)` with up to `limit` events that are there; the number handled. Does not block. Of
  // several workers that produce, each has its turn, whatever the limit.
  // It and ended() throw Error when the worker before it has left a lane that cannot be, naming that worker.
  template <class F>
  std::size_t poll(F&& handle, std::size_t limit = 1024) {
    return end_->poll(
        [&](std::span<const std::byte> payload) {
          if constexpr (detail::is_record<T>) {
            T event;
            if (!detail::Wire<T>::read(payload, event)) return false;
            handle(event);
          } else {
            handle(*reinterpret_cast<const T*>(payload.data()));
          }
          return true;
        },
        limit);
  }
  // Blocks until there is something to poll or the stream has ended, not longer than `limit`: false then.
  bool wait(std::chrono::nanoseconds limit) { return end_->wait(limit); }
  // Every event has been polled and none will follow: the stream has ended, or the pipeline is over; whether
  // it has failed Engine::wait() says. Does not block.
  bool ended() { return end_->ended(); }
  // Events that were pulled since the pipeline began, in all its lives. The events of a poll count once it
  // returns: those of one in which the host died come again, and nothing else does.
  std::uint64_t position() const noexcept { return end_->position(); }

 private:
  friend class Engine;
  explicit Outlet(detail::HostOutlet& end) noexcept : end_{&end} {}

  detail::HostOutlet* end_;
};

}  // namespace sluice
