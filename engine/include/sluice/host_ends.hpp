// SPDX-License-Identifier: Apache-2.0
// Inlets and outlets: where the host pushes events into a pipeline and pulls events out of it.
//
// Got from Engine::inlet<T>(name) and Engine::outlet<T>(name) after the start; each is used by one thread at
// a time and lives as long as the engine. What is pushed is published at once. With segment.path a push, and
// what was pulled between two acks, happens as a whole or not at all, also when the host dies in it; position()
// tells a host that was resumed which. docs/guide/host.md has programs that are right.
//
// In an event loop of the host's, arm() before the wait says whether there is something to do already, so that no
// ring is lost:
//
//     while (!out.ended()) {
//       if (out.poll(handle) != 0 || out.arm()) continue;
//       pollfd entry{out.fd(), POLLIN, 0};
//       ::poll(&entry, 1, -1);
//     }
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <sluice/detail/host_inlet.hpp>
#include <sluice/detail/host_outlet.hpp>
#include <sluice/event.hpp>
#include <sluice/ipc/framing.hpp>
#include <sluice/push_result.hpp>

namespace sluice {

// Where the host pushes events of type T.
template <Event T>
class Inlet {
 public:
  // Blocks while a lane is full and its policy is `block`. Throws Error for a record larger than the lane,
  // for a full lane whose policy is `fail`, and for one whose consumer's cursor is out of range; no
  // stage gets that event then. Throws Error also when it would wait for ever: when all stages on the way wait for
  // an outlet that is full and that this thread pulls from, as the last that did, or as the only thread there is.
  [[nodiscard]] PushResult push(const T& event) { return end_->push(event); }
  // Does not block: `full` where push() would.
  [[nodiscard]] PushResult try_push(const T& event) {
    return end_->push(event, detail::HostInlet::kNotAtAll);
  }
  // Blocks not longer than `limit`: `full` then.
  [[nodiscard]] PushResult push_for(const T& event, std::chrono::nanoseconds limit) {
    return end_->push(event, detail::HostInlet::after(limit));
  }
  // The same for many events: by one commit, and quicker. All of them or none, unless a lane's policy is another
  // than `block`: such lanes are given what fits, and position() says how many events were pushed. Throws Error
  // also when they take more than a lane holds.
  [[nodiscard]] PushResult push_batch(std::span<const T> events) {
    return end_->push_batch(events, detail::HostInlet::kForEver);
  }
  [[nodiscard]] PushResult try_push_batch(std::span<const T> events) {
    return end_->push_batch(events, detail::HostInlet::kNotAtAll);
  }
  [[nodiscard]] PushResult push_batch_for(std::span<const T> events, std::chrono::nanoseconds limit) {
    return end_->push_batch(events, detail::HostInlet::after(limit));
  }
  // Nothing follows; the stages end once they have handled what was pushed. Can be repeated; does not block.
  void close() { end_->close(); }
  // It was closed, by this process or in a former life.
  bool closed() const noexcept { return end_->closed(); }
  // Events that were pushed, and accepted or dropped, since the pipeline began: in all its lives. A host that
  // was resumed goes on with the event of this number, counted from 0.
  std::uint64_t position() const noexcept { return end_->position(); }
  // So many of them are safe, and may be acknowledged to who sent them: as position(); with outside.after=checkpoint, as many
  // as a checkpoint holds that is on the disk. Does not block.
  std::uint64_t safe() const noexcept { return end_->safe(); }
  // For poll(2) and epoll: readable once there may be room again, or nothing is left to push to, after an arm() that
  // said false. The inlet's own: do not read it, do not close it. Throws Error when there is no descriptor left.
  [[nodiscard]] int fd() { return end_->fd(); }
  // Before a wait for fd(). True: push now, since there may be room; it has been since the last push said `full`.
  // False: fd() will tell. Every push takes that back. Does not block.
  [[nodiscard]] bool arm() { return end_->arm(); }

 private:
  friend class Engine;
  explicit Inlet(detail::HostInlet& end) noexcept : end_{&end} {}

  detail::HostInlet* end_;
};

// Where the host pulls events of type T.
template <Event T>
class Outlet {
 public:
  // Hands out what is there: calls `handle(const T&)` with up to `limit` events; how many. Does not block. Of
  // several workers that produce, each has its turn, whatever the limit. The events stay in their lanes, and what
  // `handle` was given stays valid, until they count: by ack(), or once more is asked for, by poll(), poll_for(),
  // wait() or arm(). If the host dies before, they are handed out again (segment.path).
  // It and ended() throw Error when the worker before it has left a lane that cannot be, naming that worker; it does so
  // within the `handle` of another poll of this outlet as well.
  template <class F>
  std::size_t poll(F&& handle, std::size_t limit = 1024) {
    if constexpr (detail::is_record<T>) {
      const auto take = [&](ipc::LaneConsumer& lane) -> std::uint64_t {
        const std::span<const std::byte> payload = ipc::peek_record(lane);
        T event;
        if (payload.data() == nullptr || !detail::Wire<T>::read(payload, event)) return 0;
        handle(event);
        return ipc::record_stride(payload.size());
      };
      return end_->poll(take, limit);
    } else {
      return end_->template poll_values<T>(handle, limit);
    }
  }
  // poll(), and wait(limit) before it.
  template <class F>
  std::size_t poll_for(std::chrono::nanoseconds limit, F&& handle, std::size_t most = 1024) {
    wait(limit);
    return poll(std::forward<F>(handle), most);
  }
  // What was handed out has been used, and counts: all of it by one commit. Does not block.
  void ack() { end_->ack(); }
  // Blocks until there is something to poll or the stream has ended, not longer than `limit`: false then.
  bool wait(std::chrono::nanoseconds limit) { return end_->wait(limit); }
  // Every event has been polled and counts, and none will follow: the stream has ended, or the pipeline is over;
  // whether it has failed Engine::wait() says. Does not block.
  bool ended() { return end_->ended(); }
  // Events that were pulled and count, since the pipeline began, in all its lives.
  std::uint64_t position() const noexcept { return end_->position(); }
  // For poll(2) and epoll: readable once there is something to poll, or none will follow, after an arm() that said
  // false. The outlet's own: do not read it, do not close it. Throws Error when there is no descriptor left.
  [[nodiscard]] int fd() { return end_->fd(); }
  // Before a wait for fd(). True: poll now, there is something, or the stream has ended. False: fd() will tell.
  // Every other call but ended(), ack() and position() takes that back. Does not block.
  [[nodiscard]] bool arm() { return end_->arm(); }

 private:
  friend class Engine;
  explicit Outlet(detail::HostOutlet& end) noexcept : end_{&end} {}

  detail::HostOutlet* end_;
};

}  // namespace sluice
