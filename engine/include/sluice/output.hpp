// SPDX-License-Identifier: Apache-2.0
// Output<T>: where a handler pushes the events it makes.
//
// Used by one thread: the worker's, or for a host's inlet the host's. What is pushed becomes visible to the
// next stage when the batch commits, all of it or none. push() blocks while a lane is full and its policy is
// `block`; it throws Error for an event that can never fit, which ends the worker with a report and loses
// nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sluice/detail/full_policy.hpp>
#include <sluice/event.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/route.hpp>

namespace sluice {

using detail::FullPolicy;

// The producing end of one lane, with what its owner needs around it.
struct OutLane {
  ipc::LaneProducer lane;
  std::uint64_t word = 0;  // Of the lane's tail in the region's cursor area; ended is the next.
  const ipc::Control* consumer = nullptr;
  const ipc::Doorbell* bell = nullptr;
  FullPolicy policy = FullPolicy::block;
  std::size_t node = 0;  // The stage that consumes it.
  bool touched = false;
  const std::atomic<std::uint32_t>* shed =
      nullptr;  // Of its consumer, if that is a worker: not 0 once it is shed.

  // relaxed: seen late, it costs a look more.
  bool is_shed() const noexcept { return shed != nullptr && shed->load(std::memory_order_relaxed) != 0; }
};

// All lanes of one connection between two stages: one for each worker of the consuming stage.
struct OutEdge {
  Route route;
  std::vector<OutLane*> lanes;
  std::size_t turn = 0;
};

// What an output asks of the process it stands in.
class Publisher {
 public:
  virtual ~Publisher() = default;

  std::uint64_t event() const noexcept { return event_; }
  void touch(OutLane& lane) {
    lane.touched = true;
    touched_.push_back(&lane);  // Reserved for every lane before the start.
  }
  void count_out() noexcept { ++events_out_; }

  // The slow path: `lane` has no room for `bytes`. Waits, drops or throws, as its policy says; nullptr:
  // dropped.
  virtual std::byte* make_room(OutLane& lane, std::uint64_t bytes) = 0;

 protected:
  std::uint64_t event_ = 0;  // Numbers the events this process handles, from 1.
  std::uint64_t events_out_ = 0;
  std::vector<OutLane*> touched_;
};

// The part of an output that does not depend on the event's type.
class OutputPort {
 public:
  explicit OutputPort(Publisher& publisher) noexcept : publisher_{publisher} {}

  void connect(OutEdge edge) { edges_.push_back(std::move(edge)); }

  template <Event T>
  void push(const T& event) {
    for (OutEdge& edge : edges_) {
      if (edge.route.kind == RouteKind::broadcast) {
        for (OutLane* lane : edge.lanes)
          write(*lane, event);
      } else {
        write(*pick(edge, &event), event);
      }
    }
  }

 private:
  template <Event T>
  void write(OutLane& out, const T& event) {
    out.lane.enter_event(publisher_.event());
    const std::uint64_t bytes = Wire<T>::stride(event);
    std::byte* at = out.lane.reserve(bytes);
    if (at == nullptr) {
      at = publisher_.make_room(out, bytes);
      if (at == nullptr) return;
    }
    Wire<T>::write(at, event);
    out.lane.advance(bytes);
    publisher_.count_out();
    if (!out.touched) publisher_.touch(out);
  }

  static OutLane* pick(OutEdge& edge, const void* event) {
    const std::size_t count = edge.lanes.size();
    if (count == 1) return edge.lanes.front();
    switch (edge.route.kind) {
      case RouteKind::by_key: {
        // The high bits choose: a multiplication instead of a division.
        const std::uint64_t hash = edge.route.hash(edge.route.key.get(), event);
        return edge.lanes[static_cast<std::size_t>((hash >> 32) * count >> 32)];
      }
      case RouteKind::least_loaded:
        return least_loaded(edge);
      default:
        return next_in_turn(edge);
    }
  }

  static OutLane* next_in_turn(OutEdge& edge) {
    const std::size_t count = edge.lanes.size();
    OutLane* lane = edge.lanes[edge.turn++ % count];
    for (std::size_t i = 1; i < count && lane->is_shed(); ++i)
      lane = edge.lanes[edge.turn++ % count];
    return lane;
  }

  static std::uint64_t fill_of(OutLane& lane) noexcept {
    return lane.is_shed() ? ~std::uint64_t{0} : lane.lane.fill_bytes();
  }
  static OutLane* least_loaded(OutEdge& edge) {
    OutLane* best = edge.lanes.front();
    std::uint64_t best_fill = fill_of(*best);
    for (OutLane* lane : edge.lanes) {
      const std::uint64_t fill = fill_of(*lane);
      if (fill < best_fill) {
        best = lane;
        best_fill = fill;
      }
    }
    return best;
  }

  Publisher& publisher_;
  std::vector<OutEdge> edges_;
};

template <Event T>
class Output {
 public:
  explicit Output(OutputPort& port) noexcept : port_{port} {}

  void push(const T& event) { port_.push(event); }

 private:
  OutputPort& port_;
};

// A record: its head and its bytes.
template <class Head>
class Output<Record<Head>> {
 public:
  explicit Output(OutputPort& port) noexcept : port_{port} {}

  void push(const Record<Head>& event) { port_.push(event); }
  void push(const Head& head, std::span<const std::byte> body) { port_.push(Record<Head>{head, body}); }
  void push(const Head& head, std::string_view body) {
    port_.push(Record<Head>{head, std::as_bytes(std::span{body.data(), body.size()})});
  }

 private:
  OutputPort& port_;
};

template <>
class Output<Bytes> {
 public:
  explicit Output(OutputPort& port) noexcept : port_{port} {}

  void push(const Bytes& event) { port_.push(event); }
  void push(std::string_view text) { port_.push(Bytes{text}); }

 private:
  OutputPort& port_;
};

}  // namespace sluice
