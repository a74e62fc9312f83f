// SPDX-License-Identifier: Apache-2.0
// HostInlet: the part of an inlet that does not depend on the type of its events.
//
// Used by the host, by one thread at a time; but another one may ask for its end, as wait() and begin_drain() do.
//
// For that the two agree by a handshake that costs a push two stores and two looks (ipc/closing.hpp). The push under way makes the
// end, or who asks for it, once (closed_).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <sluice/detail/output_port.hpp>
#include <sluice/event.hpp>
#include <sluice/ipc/closing.hpp>
#include <sluice/push_result.hpp>

namespace sluice::detail {

class EndDescriptor;
class Host;
class HostCommit;
class Waiter;

class HostInlet final : private Producer {
 public:
  // Until when a push waits for room, on the clock of the pipeline.
  using Until = std::chrono::nanoseconds;
  static constexpr Until kForEver = Until::max();
  static constexpr Until kNotAtAll = Until::min();
  static Until after(std::chrono::nanoseconds limit) noexcept;

  HostInlet(Host& host, NodeIndex node, Waiter& waiter);
  ~HostInlet() override;
  HostInlet(const HostInlet&) = delete;
  HostInlet& operator=(const HostInlet&) = delete;

  template <Event T>
  PushResult push(const T& event, Until until = kForEver) {
    const UnderWay under_way{*this};
    if (at_once_ != nullptr && takes_at_once() && push_at_once(*at_once_, event)) [[likely]]
      return PushResult::accepted;
    return push_several(std::span<const T>{&event, 1}, until);
  }
  // All of them by one commit, or none. Lanes that lose events (lane.full) are given what has come before an event
  // that they have no room for: by a commit of its own.
  template <Event T>
  PushResult push_batch(std::span<const T> events, Until until) {
    const UnderWay under_way{*this};
    return push_several(events, until);
  }
  // Nothing follows: the end of the stream. Can be repeated.
  void close();
  // The same from another thread than that which pushes, in two steps, with ipc::far_fence() between them: the push that is
  // under way, if there is one, closes it when it is done.
  void ask_to_close() noexcept { closing_.ask(); }
  void close_unless_under_way();
  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }  // relaxed: says no more.
  std::uint64_t position() const noexcept { return position_; }
  std::uint64_t safe() const noexcept;
  NodeIndex node() const noexcept { return node_; }

  int fd();
  bool arm();
  void let_go() noexcept;

 private:
  // A push, from before its first look at whether the end was asked for to behind its last.
  class UnderWay {
   public:
    explicit UnderWay(HostInlet& inlet) noexcept : inlet_{inlet} { inlet_.closing_.begin(); }
    ~UnderWay() {
      if (inlet_.closing_.end()) [[unlikely]]
        inlet_.close_behind_a_push();
    }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

   private:
    HostInlet& inlet_;
  };

  template <Event T>
  PushResult push_several(std::span<const T> events, Until until) {
    if (closed() || shut()) return PushResult::ended;
    if (armed_) disarm();
    ++event_;
    outcome_ = PushResult::accepted;
    until_ = until;
    full_ = nullptr;
    pushed_ = 0;
    try {
      push_all(events);
    } catch (...) {
      // Some lanes may have got it already: all or nothing.
      give_back();
      throw;
    }
    if (outcome_ == PushResult::ended || outcome_ == PushResult::full) {
      give_back();
    } else {
      publish();
    }
    return outcome_;
  }
  // The way of most pushes: one event, one lane with room for it, nothing to commit with it. It is published as it is
  // written, and no part of it can fail. False: nothing was done.
  template <Event T>
  bool push_at_once(OutLane& out, const T& event) {
    const std::uint64_t bytes = Wire<T>::stride(event);
    std::byte* at = out.lane.reserve(bytes);
    if (at == nullptr) [[unlikely]]
      return false;
    Wire<T>::write(at, event);
    out.lane.advance(bytes);
    out.lane.publish();
    ++position_;
    full_ = nullptr;
    OutputPort::ring(out);
    return true;
  }
  // Nothing is to be asked of the pipeline first, and nobody waits for this end's descriptor. Throws Error in a child of
  // the host.
  bool takes_at_once();

  template <Event T>
  void push_all(std::span<const T> events) {
    OutEdges& edges = port_.output(0);
    while (!events.empty()) {
      if constexpr (!is_record<T>) {
        // Where each event is a commit of its own there is no run of them.
        const std::size_t run = loses_ || events.size() == 1 ? 0 : port_.push_run(edges, events);
        pushed_ += run;
        events = events.subspan(run);
        if (events.empty()) return;
      }
      if (loses_ && pushed_ != 0) ++event_;
      port_.push(edges, events.front());
      if (outcome_ == PushResult::ended || outcome_ == PushResult::full) return;
      ++pushed_;
      events = events.subspan(1);
    }
  }

  bool gives_up(const OutLane& lane) const noexcept override;
  void lost(Lost why) noexcept override;
  void publish_before_event() override;
  bool wait_for_room(OutLane& lane, const std::function<bool()>& ready) override;
  void wait_briefly(const std::function<bool()>& ready, std::chrono::nanoseconds limit) override;
  const char* too_much() const noexcept override { return "what is pushed at once takes"; }
  const char* remedy() const noexcept override { return "push fewer events at once"; }
  // No event can be taken any more: the pipeline is over or drains. Throws Error in a child of the host.
  bool shut();
  void publish() { publish(true); }
  void publish(bool whole);
  void give_back();
  void close_behind_a_push() noexcept;
  void disarm() noexcept;
  [[noreturn]] void refuse_deadlock(LaneIndex lane) const;

  Host& host_;
  NodeIndex node_;
  Waiter& waiter_;
  std::unique_ptr<HostCommit> commit_;  // Of a pipeline that can be resumed: a push of any other costs less.
  std::uint64_t event_ = 0;             // Pushes, and what of them is published apart, are numbered.
  OutputPort port_;
  OutLane* at_once_ = nullptr;  // The one lane, if pushes of one need nothing but it: push_at_once().
  std::uint64_t position_ = 0;
  std::uint64_t pushed_ = 0;  // Of the events at hand, and not published.
  Until until_ = kForEver;
  PushResult outcome_ = PushResult::accepted;
  ipc::Closing closing_;      // Of its pushes, by another thread.
  std::atomic<bool> closed_;  // Somebody has taken it upon himself to make the end.
  bool loses_ = false;
  bool armed_ = false;
  OutLane* full_ = nullptr;      // Where the last push found no room.
  std::uint64_t full_head_ = 0;  // How far its consumer was.
  std::unique_ptr<EndDescriptor> descriptor_;
};

}  // namespace sluice::detail
