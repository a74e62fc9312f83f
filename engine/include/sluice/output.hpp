// SPDX-License-Identifier: Apache-2.0
// Output<T>: where a handler pushes the events it makes.
//
// Used by the worker's one thread, within a call of the handler. What is pushed becomes visible to the next
// stage when the batch commits, all of it or none. push() blocks while a lane is full and its policy is
// `block`; it throws Error for an event that can never fit, which ends the worker with a report and loses
// nothing, and for a lane that is full whose policy is `fail`. A handler that catches it finds that no lane has got the event.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

#include <sluice/detail/output_port.hpp>
#include <sluice/detail/staging.hpp>
#include <sluice/event.hpp>
#include <sluice/ipc/framing.hpp>

namespace sluice {

namespace detail {

template <class Outputs>
struct OutputsOf;

// What makes an event in its place.
template <class F, class T>
concept MakesEvent =
    std::invocable<F&, T&> && std::default_initializable<T> && !std::same_as<std::remove_cvref_t<F>, T>;

// What all outputs have in common.
template <class T>
class OutputBase {
  static_assert(
      Event<T>,
      "what goes through an Output<Out> is an event: a trivially copyable value and no pointer or view, nor "
      "holding one, or a Record");

 public:
  // Copies `event` into the lanes that the route chooses. The header says when it blocks and what it throws.
  void push(const T& event) {
    if (only_ != nullptr) {
      port_.push(*only_, event);
    } else if (staging_ != nullptr) {
      staging_->add(number_, event);
    } else {
      port_.push(edges_, event);
    }
  }

 protected:
  OutputBase(OutputPort& port, std::size_t index) noexcept
      : port_{port}, edges_{port.output(index)}, only_{OutputPort::only_lane(edges_)} {}
  // One of several threads pushes: what it pushes is kept in `staging`, as of output `number`.
  OutputBase(const OutputBase& whole, Staging& staging, std::uint32_t number) noexcept
      : port_{whole.port_}, edges_{whole.edges_}, only_{nullptr}, staging_{&staging}, number_{number} {}

  // What `fill` makes of T{}.
  template <class Fill>
  void push_made(Fill& fill) {
    OutLane* const lane = only_ != nullptr || staging_ != nullptr ? only_ : OutputPort::lane_of_any(edges_);
    if (lane == nullptr || !port_.template push_made<T>(*lane, fill)) [[unlikely]]
      push_copy_of_made(lane, fill);
  }

  // What stands in an entry of a staging.
  void push_staged(const Staging::Entry& entry) {
    Staging::read<T>(entry, [this](const T& event) { push(event); });
  }

  void push_all(std::span<const T> events) {
    if (staging_ != nullptr) {
      for (const T& event : events)
        staging_->add(number_, event);
      return;
    }
    while (!events.empty()) {
      events = events.subspan(port_.push_run(edges_, events));
      if (events.empty()) return;
      // It waits for room, or asks for the lane.
      push(events.front());
      events = events.subspan(1);
    }
  }

  std::uint64_t smallest_lane_bytes() const noexcept { return OutputPort::smallest_lane_bytes(edges_); }

 private:
  // The same where there is no place for it yet, or several. `lane`: nullptr, or that which it goes to.
  template <class Fill>
  [[gnu::noinline]] void push_copy_of_made(OutLane* lane, Fill& fill) {
    T event{};
    fill(event);
    if (lane != nullptr)
      port_.push(*lane, event);
    else
      push(event);
  }

  OutputPort& port_;
  OutEdges& edges_;
  OutLane* only_;
  Staging* staging_ = nullptr;
  std::uint32_t number_ = 0;
};

}  // namespace detail

template <class T>
class Output : public detail::OutputBase<T> {
  template <class Outputs>
  friend struct detail::OutputsOf;

  Output(detail::OutputPort& port, std::size_t index) noexcept : detail::OutputBase<T>{port, index} {}
  Output(const Output& whole, detail::Staging& staging, std::uint32_t number) noexcept
      : detail::OutputBase<T>{whole, staging, number} {}

 public:
  using detail::OutputBase<T>::push;
  // Many events, which lie one behind the other: a std::span, std::array or std::vector of T. As push() for each of them,
  // in their order, and quicker where the lanes have room: one copy where there is one lane, or all get everything.
  template <std::ranges::contiguous_range Events>
  requires std::ranges::sized_range<Events> && std::same_as<std::ranges::range_value_t<Events>, T>
  void push(const Events& events) {
    this->push_all(std::span<const T>{std::ranges::data(events), std::ranges::size(events)});
  }
  // The event that `fill`, which takes a T&, makes of T{}. It is written where it is to lie, if one lane gets it that is known by
  // then and has room; an event of many members is not made first and then copied. `fill` is called once and pushes
  // nothing to this output. What it throws is thrown, and nothing is pushed.
  template <detail::MakesEvent<T> Fill>
  void push(Fill&& fill) {
    this->push_made(fill);
  }
};

// A record: its head and its bytes.
template <class Head>
class Output<Record<Head>> : public detail::OutputBase<Record<Head>> {
  template <class Outputs>
  friend struct detail::OutputsOf;

  Output(detail::OutputPort& port, std::size_t index) noexcept
      : detail::OutputBase<Record<Head>>{port, index} {}
  Output(const Output& whole, detail::Staging& staging, std::uint32_t number) noexcept
      : detail::OutputBase<Record<Head>>{whole, staging, number} {}

 public:
  using detail::OutputBase<Record<Head>>::push;
  // The longest body that every lane of this output can take: a longer one is an Error when it is pushed.
  std::uint64_t most_body_bytes() const noexcept {
    return ipc::largest_record(this->smallest_lane_bytes()) - detail::Wire<Record<Head>>::kHeadBytes;
  }
  void push(const Head& head, std::span<const std::byte> body) { push(Record<Head>{head, body}); }
  void push(const Head& head, std::string_view body) {
    push(Record<Head>{head, std::as_bytes(std::span{body.data(), body.size()})});
  }
};

template <>
class Output<Bytes> : public detail::OutputBase<Bytes> {  // Where a handler pushes bytes.
  template <class Outputs>
  friend struct detail::OutputsOf;

  Output(detail::OutputPort& port, std::size_t index) noexcept : detail::OutputBase<Bytes>{port, index} {}
  Output(const Output& whole, detail::Staging& staging, std::uint32_t number) noexcept
      : detail::OutputBase<Bytes>{whole, staging, number} {}

 public:
  using detail::OutputBase<Bytes>::push;
  std::uint64_t most_body_bytes() const noexcept { return ipc::largest_record(smallest_lane_bytes()); }
  void push(std::string_view text) { push(Bytes{text}); }
};

}  // namespace sluice
