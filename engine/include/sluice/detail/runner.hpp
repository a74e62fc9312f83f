// SPDX-License-Identifier: Apache-2.0
// Runners: how the worker loop, which knows no event types, calls handlers, which know nothing else.
//
// One virtual call a batch and lane; the loop over the events is compiled with the handler inside.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <sluice/detail/batch.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/event_type.hpp>
#include <sluice/detail/graph.hpp>
#include <sluice/detail/output_port.hpp>
#include <sluice/detail/signature.hpp>
#include <sluice/detail/staging.hpp>
#include <sluice/detail/wire.hpp>
#include <sluice/event.hpp>
#include <sluice/handler.hpp>
#include <sluice/ipc/framing.hpp>
#include <sluice/output.hpp>
#include <sluice/worker.hpp>

namespace sluice::detail {

// How often a source may be called in a row, and until when.
struct SourceCalls {
  std::uint64_t most = 0;
  std::chrono::nanoseconds since{0};  // coarse_now() when the batch began,
  std::chrono::nanoseconds linger{
      0};  // and how long it may last, as the clock's ticks tell: a slow call ends it.

  // Whether the clock is looked at behind call number `calls`, from 1: always at first, and behind every fourth of a
  // source that has been quick all the while, since a look costs as much as a quick call.
  static constexpr bool looks_behind(std::uint64_t calls) noexcept { return calls <= 16 || calls % 4 == 0; }
  bool slow() const noexcept {
    const std::chrono::nanoseconds lasted = coarse_now() - since;
    return lasted.count() != 0 && lasted >= linger;
  }
};
// How often it was called and said more or end, what it said last, and whether it was slow.
struct Produced {
  std::uint64_t calls = 0;
  SourceState state = SourceState::more;
  bool slow = false;
};

class Runner {
 public:
  virtual ~Runner() = default;
  // Handles what one look at `input` finds there, up to `limit` events, and advances it past each; the number handled. A
  // handler that takes spans is called once.
  virtual std::uint64_t consume(ipc::LaneConsumer& input, std::uint32_t lane, std::uint64_t limit,
                                Work& work) = 0;
  // Calls a source again and again, up to `calls.most` times.
  virtual Produced produce(const SourceCalls& calls, Work& work) = 0;
  // True: call again.
  virtual bool finish() = 0;
  virtual bool takes_spans() const noexcept { return false; }
  // The worker's process has processing units for so many threads of its handler. Called before the first event, in the
  // process that runs it, which never forks again; a runner that is not told has one.
  virtual void widen(unsigned /*threads*/) {}
};

// Made where it stays: it may give its address away in its constructor, as before_commit([this] ...) does, and an object of a
// few bytes that a function returns is a copy, whatever the language says of others (the ABI returns it in registers).
template <class H, class... Args>
concept MadeWithWorker = std::constructible_from<H, Worker&, const Args&...>;

template <class Outputs>
struct OutputsOf;
template <class... Outs>
struct OutputsOf<std::tuple<Outs...>> {
  using Type = std::tuple<Output<Outs>...>;

  static Type make([[maybe_unused]] OutputPort& port) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Type{Output<Outs>{port, I}...};
    }
    (std::index_sequence_for<Outs...>{});
  }
  // The same outputs for one of several threads: what it pushes is kept in `staging`.
  static Type staged(const Type& outputs, Staging& staging) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Type{Output<Outs>{std::get<I>(outputs), staging, static_cast<std::uint32_t>(I)}...};
    }
    (std::index_sequence_for<Outs...>{});
  }
  // Pushes what stands in an entry of such a staging.
  static void push([[maybe_unused]] Type& outputs, [[maybe_unused]] const Staging::Entry& entry) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (static_cast<void>(entry.output == I && (std::get<I>(outputs).push_staged(entry), true)), ...);
    }
    (std::index_sequence_for<Outs...>{});
  }
  static std::vector<EventType> types() { return {EventType::of<Outs>()...}; }
};

template <class H, class Outputs>
bool call_finish(H& handler, Outputs& outputs) {
  return std::apply(
      [&]([[maybe_unused]] auto&... output) {
        if constexpr (requires { handler.finish(output...); }) {
          if constexpr (std::is_void_v<decltype(handler.finish(output...))>) {
            handler.finish(output...);
            return false;
          } else {
            return static_cast<bool>(handler.finish(output...));
          }
        } else {
          return false;
        }
      },
      outputs);
}

// Whether the handler is given a Worker; one that is not has no recoverable state and asks for no event's id.
template <class H, class... Args>
inline constexpr bool sees_worker = std::constructible_from<H, Worker&, const Args&...>;

// Passed check_handler() and check_construction().
template <class H, bool kSeesWorker>
class HandlerRunner : public Runner {
  using Traits = HandlerTraits<H>;
  using In = typename Traits::Input;
  using Outputs = OutputsOf<typename Traits::Outputs>;
  static constexpr bool kTakesSpans = Traits::Taken::is_span;

 public:
  template <class... Args>
  requires MadeWithWorker<H, Args...> HandlerRunner(Worker& worker, OutputPort& port, const Args&... args)
      : handler_(worker, args...), outputs_{Outputs::make(port)} {}
  template <class... Args>
  HandlerRunner(Worker&, OutputPort& port, const Args&... args)
      : handler_(args...), outputs_{Outputs::make(port)} {}

  std::uint64_t consume(ipc::LaneConsumer& input, std::uint32_t lane, std::uint64_t limit,
                        Work& work) override {
    work.enter_lane(lane);
    if constexpr (kTakesSpans) {
      return consume_span(input, limit, work);
    } else if constexpr (is_record<In>) {
      EventsInTurn<kSeesWorker> events{work};
      return consume_records(input, limit, events);
    } else {
      EventsInTurn<kSeesWorker> events{work};
      return consume_values(input, limit, events);
    }
  }
  bool takes_spans() const noexcept override { return kTakesSpans; }

  Produced produce(const SourceCalls&, Work&) override { return {0, SourceState::end}; }
  bool finish() override { return call_finish(handler_, outputs_); }

 private:
  std::uint64_t consume_values(ipc::LaneConsumer& input, std::uint64_t limit,
                               EventsInTurn<kSeesWorker>& events) {
    const std::uint64_t readable = input.readable();
    if (readable < sizeof(In)) [[unlikely]] {
      if (readable != 0) input.quarantine();
      return 0;
    }
    const std::uint64_t count = std::min(limit, readable / sizeof(In));
    const In* event = reinterpret_cast<const In*>(input.data());
    std::uint64_t position = input.next();
    for (const In* const last = event + count; event != last; ++event) {
      if (!events.go_on()) return count - static_cast<std::uint64_t>(last - event);
      events.begin(position);
      call(*event);
      position += sizeof(In);
      input.advance_to(position);
    }
    return count;
  }

  // The ring is mapped twice in a row: what is readable is one array.
  std::uint64_t consume_span(ipc::LaneConsumer& input, std::uint64_t limit, Work& work) {
    const std::uint64_t readable = input.readable();
    if (readable == 0) return 0;
    const std::uint64_t count = std::min({limit, readable / sizeof(In), kLongestSpan});
    if (count == 0) {
      input.quarantine();
      return 0;
    }
    work.begin_span(input.next(), static_cast<std::uint32_t>(count), input.next() + count * sizeof(In));
    call(std::span<const In>{reinterpret_cast<const In*>(input.data()), count});
    input.advance(count * sizeof(In));
    return count;
  }

  std::uint64_t consume_records(ipc::LaneConsumer& input, std::uint64_t limit,
                                EventsInTurn<kSeesWorker>& events) {
    std::uint64_t handled = 0;
    if (input.readable() == 0) return handled;
    for (; handled < limit && events.go_on() && input.knows_more(); ++handled) {
      const std::span<const std::byte> payload = ipc::peek_record(input);
      In event;
      if (payload.data() == nullptr || !Wire<In>::read(payload, event)) {
        input.quarantine();
        break;
      }
      events.begin(input.next());
      call(event);
      input.advance(ipc::record_stride(payload.size()));
    }
    return handled;
  }

  template <class Taken>
  void call(const Taken& taken) {
    std::apply([&](auto&... output) { handler_(taken, output...); }, outputs_);
  }

 protected:
  static constexpr std::uint64_t kLongestSpan = std::uint64_t{1} << 31;

  H handler_;
  typename Outputs::Type outputs_;
};

// What runs a stage's handler; `H` as it is named: wide.hpp adds those that run in several threads.
template <class H, class... Args>
struct RunnerOf {
  static_assert(!HandlerIn<H>::is_wide,
                "a wide handler needs sluice/wide.hpp included, and sluice::wide linked");
  using Type = HandlerRunner<H, sees_worker<H, Args...>>;
};

// Passed check_source() and check_construction().
template <class S, bool kSeesWorker>
class SourceRunner final : public Runner {
  using Traits = SourceTraits<S>;
  using Outputs = OutputsOf<typename Traits::Outputs>;

 public:
  template <class... Args>
  requires MadeWithWorker<S, Args...> SourceRunner(Worker& worker, OutputPort& port, const Args&... args)
      : source_(worker, args...), outputs_{Outputs::make(port)} {}
  template <class... Args>
  SourceRunner(Worker&, OutputPort& port, const Args&... args)
      : source_(args...), outputs_{Outputs::make(port)} {}

  std::uint64_t consume(ipc::LaneConsumer&, std::uint32_t, std::uint64_t, Work&) override { return 0; }
  Produced produce(const SourceCalls& calls, Work& work) override {
    Produced made;
    EventsInTurn<kSeesWorker> events{work};
    while (made.calls < calls.most && !made.slow && events.go_on()) {
      events.begin_call();
      made.state = call();
      if (made.state == SourceState::nothing_now) return made;
      ++made.calls;
      if (made.state == SourceState::end) return made;
      made.slow = SourceCalls::looks_behind(made.calls) && calls.slow();
    }
    return made;
  }
  bool finish() override { return call_finish(source_, outputs_); }

 private:
  SourceState call() {
    const auto state = std::apply([&](auto&... output) { return source_(output...); }, outputs_);
    if constexpr (std::same_as<typename Traits::Result, bool>) {
      return state ? SourceState::more : SourceState::end;
    } else {
      return state;
    }
  }

  S source_;
  typename Outputs::Type outputs_;
};

}  // namespace sluice::detail
