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
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <sluice/event.hpp>
#include <sluice/output.hpp>

namespace sluice {

namespace detail {
class Host;
class HostCommit;
class Waiter;
struct InLane;
}  // namespace detail

enum class PushResult {
  accepted,  // It will take effect exactly once.
  dropped,   // The lane was full and its policy is drop_newest, or its worker is shed (restart.spent).
  ended,     // The inlet is closed, or the pipeline is over: see Engine::wait() for why.
};

// The part of an inlet that does not depend on the type of its events.
class HostInlet final : public Publisher {
 public:
  HostInlet(detail::Host& host, std::size_t node, detail::Waiter& waiter);
  ~HostInlet() override;
  HostInlet(const HostInlet&) = delete;
  HostInlet& operator=(const HostInlet&) = delete;

  template <Event T>
  PushResult push(const T& event) {
    if (closed_ || pipeline_over()) return PushResult::ended;
    ++event_;
    outcome_ = PushResult::accepted;
    try {
      port_.push(event);
    } catch (...) {
      // Some lanes may have got it already: all or nothing.
      take_back();
      throw;
    }
    if (outcome_ == PushResult::ended) {
      take_back();
    } else {
      ++position_;
      publish();
    }
    return outcome_;
  }
  // Nothing follows: the end of the stream. Can be repeated.
  void close();
  bool closed() const noexcept { return closed_; }
  std::uint64_t position() const noexcept { return position_; }

  std::byte* make_room(OutLane& lane, std::uint64_t bytes) override;
  std::size_t node() const noexcept { return node_; }

 private:
  bool pipeline_over() const noexcept;
  void take_back() noexcept;
  void publish();
  [[noreturn]] void refuse(const std::string& stage) const;

  detail::Host& host_;
  std::size_t node_;
  detail::Waiter& waiter_;
  std::unique_ptr<detail::HostCommit>
      commit_;  // Of a pipeline that can be resumed: a push of any other costs less.
  std::deque<OutLane> lanes_;
  OutputPort port_{*this};
  std::uint64_t position_ = 0;
  PushResult outcome_ = PushResult::accepted;
  bool closed_ = false;
};

// Where the host pushes events of type T.
template <Event T>
class Inlet {
 public:
  explicit Inlet(HostInlet& end) noexcept : end_{&end} {}

  // Blocks while a lane is full and its policy is `block`. Throws Error for a record larger than the lane,
  // for a full lane whose policy is `fail`, and for one whose consumer claims what cannot be; nobody gets
  // that event then.
  PushResult push(const T& event) { return end_->push(event); }
  // Nothing follows; the stages end once they have handled what was pushed.
  void close() { end_->close(); }
  // It was closed, by this process or in a former life.
  bool closed() const noexcept { return end_->closed(); }
  // Events that were pushed, and accepted or dropped, since the pipeline began: in all its lives. A host that
  // was resumed goes on with the event of this number, counted from 0.
  std::uint64_t position() const noexcept { return end_->position(); }

 private:
  HostInlet* end_;
};

// The part of an outlet that does not depend on the type of its events.
class HostOutlet {
 public:
  HostOutlet(detail::Host& host, std::size_t node, detail::Waiter& waiter);
  ~HostOutlet();
  HostOutlet(HostOutlet&&) noexcept;
  HostOutlet(const HostOutlet&) = delete;
  HostOutlet& operator=(const HostOutlet&) = delete;

  // Calls `handle` with up to `limit` events, as raw payloads; the number handled. Does not block. `handle`
  // returns false for a payload that is no event of its type. Throws Error for a lane whose producer wrote
  // what cannot be, naming it; what came before that is handled.
  std::size_t poll(const std::function<bool(std::span<const std::byte>)>& handle, std::size_t limit);
  // Waits until there is something to poll or the stream has ended, not longer than `limit`.
  bool wait(std::chrono::nanoseconds limit);
  // Every event has been polled and none will follow: the stream has ended, or the pipeline is over; whether
  // it has failed Engine::wait() says.
  bool ended();
  std::uint64_t position() const noexcept { return position_; }
  std::size_t node() const noexcept { return node_; }

 private:
  [[noreturn]] void refuse(const detail::InLane& in) const;
  void publish();

  detail::Host& host_;
  std::size_t node_;
  detail::Waiter& waiter_;
  std::unique_ptr<detail::HostCommit> commit_;
  EventType type_;
  std::uint64_t position_ = 0;
  std::vector<detail::InLane> lanes_;
};

// Where the host pulls events of type T.
template <Event T>
class Outlet {
 public:
  explicit Outlet(HostOutlet& end) noexcept : end_{&end} {}

  // Calls `handle(const T&)` with up to `limit` events that are there; the number handled. Does not block.
  // It and ended() throw Error when the worker before it has left a lane that cannot be, naming that worker.
  template <class F>
  std::size_t poll(F&& handle, std::size_t limit = 1024) {
    return end_->poll(
        [&](std::span<const std::byte> payload) {
          if constexpr (is_record<T>) {
            T event;
            if (!Wire<T>::read(payload, event)) return false;
            handle(event);
          } else {
            handle(*reinterpret_cast<const T*>(payload.data()));
          }
          return true;
        },
        limit);
  }
  bool wait(std::chrono::nanoseconds limit) { return end_->wait(limit); }
  bool ended() { return end_->ended(); }
  // Events that were pulled since the pipeline began, in all its lives. The events of a poll count once it
  // returns: those of one in which the host died come again, and nothing else does.
  std::uint64_t position() const noexcept { return end_->position(); }

 private:
  HostOutlet* end_;
};

}  // namespace sluice
