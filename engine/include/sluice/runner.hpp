// SPDX-License-Identifier: Apache-2.0
// Runners: how the worker loop, which knows no event types, calls handlers, which know nothing else.
//
// One virtual call a batch and lane; the loop over the events is compiled with the handler inside. A handler
// is any class with
//
//     void operator()(const In& event, Output<Out>&... outlets);       // once per event
//     void finish(Output<Out>&...);  or  bool finish(Output<Out>&...);  // optional: its last word
//
// and a source is any class with
//
//     bool operator()(Output<Out>&... outlets);                        // true while there is more
//     SourceState operator()(Output<Out>&... outlets);                 // the same, with "nothing now"
//
// A finish that returns true is called again, each call an event of its own, so that a last word may be
// longer than a lane.
#pragma once

#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <sluice/detail/progress.hpp>
#include <sluice/event.hpp>
#include <sluice/graph.hpp>
#include <sluice/output.hpp>
#include <sluice/worker.hpp>

namespace sluice {

enum class SourceState { more, nothing_now, end };

// What a runner does around every event. Implemented by the worker loop.
class Work : public Publisher {
 public:
  // Before the handler sees an event. What was done until here can be committed without what follows.
  void begin_event(std::uint32_t lane, std::uint64_t position) noexcept {
    ++event_;
    undo_boundary_ = undo_->tail();
    out_boundary_ = events_out_;
    in_boundary_ = events_in_++;
    id_ = {lane, position};
    // relaxed: the watchdog wants to see that it changes, no more.
    progress_->store(detail::progress_word({lane, position}), std::memory_order_relaxed);
    // Whoever looks into a dead worker must find the event named that it died in, not the one before.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // False once the undo log is so full that the batch had better commit.
  bool batch_goes_on() const noexcept { return undo_->tail() <= undo_limit_; }

 protected:
  ipc::UndoLog* undo_ = nullptr;
  std::atomic<std::uint64_t>* progress_ = nullptr;
  std::uint64_t undo_limit_ = 0;
  std::uint64_t undo_boundary_ = 0;
  std::uint64_t events_in_ = 0;
  std::uint64_t out_boundary_ = 0;
  std::uint64_t in_boundary_ = 0;
  EventId id_;
};

class Runner {
 public:
  virtual ~Runner() = default;
  // Handles up to `limit` events of `input` and advances it past each; the number handled.
  virtual std::uint64_t consume(ipc::LaneConsumer& input, std::uint32_t lane, std::uint64_t limit,
                                Work& work) = 0;
  virtual SourceState produce() = 0;
  // True: call again.
  virtual bool finish() = 0;
};

namespace detail {

template <class F>
struct CallTraits;
template <class R, class H, class In, class... Outs>
struct CallTraits<R (H::*)(In, Output<Outs>&...)> {
  using Result = R;
  using Input = std::remove_cvref_t<In>;
  using Outputs = std::tuple<Outs...>;
};
template <class R, class H, class In, class... Outs>
struct CallTraits<R (H::*)(In, Output<Outs>&...) const> : CallTraits<R (H::*)(In, Output<Outs>&...)> {};
template <class R, class H, class In, class... Outs>
struct CallTraits<R (H::*)(In, Output<Outs>&...) noexcept> : CallTraits<R (H::*)(In, Output<Outs>&...)> {};
template <class R, class H, class In, class... Outs>
struct CallTraits<R (H::*)(In, Output<Outs>&...) const noexcept>
    : CallTraits<R (H::*)(In, Output<Outs>&...)> {};

template <class F>
struct SourceTraits;
template <class R, class H, class... Outs>
struct SourceTraits<R (H::*)(Output<Outs>&...)> {
  using Result = R;
  using Outputs = std::tuple<Outs...>;
};
template <class R, class H, class... Outs>
struct SourceTraits<R (H::*)(Output<Outs>&...) const> : SourceTraits<R (H::*)(Output<Outs>&...)> {};
template <class R, class H, class... Outs>
struct SourceTraits<R (H::*)(Output<Outs>&...) noexcept> : SourceTraits<R (H::*)(Output<Outs>&...)> {};
template <class R, class H, class... Outs>
struct SourceTraits<R (H::*)(Output<Outs>&...) const noexcept> : SourceTraits<R (H::*)(Output<Outs>&...)> {};

template <class H, class... Args>
H make_handler(Worker& worker, const Args&... args) {
  if constexpr (std::constructible_from<H, Worker&, const Args&...>) {
    return H(worker, args...);
  } else {
    static_assert(std::constructible_from<H, const Args&...>,
                  "a handler is constructed from a Worker& and the arguments of to<>(), or from those alone");
    return H(args...);
  }
}

template <class Outputs>
struct OutputsOf;
template <class... Outs>
struct OutputsOf<std::tuple<Outs...>> {
  using Type = std::tuple<Output<Outs>...>;

  static Type make(Ports& ports) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Type{Output<Outs>{ports[I]}...};
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

}  // namespace detail

template <class H>
concept Handler = requires {
  typename detail::CallTraits<decltype(&H::operator())>::Input;
}
&&Event<typename detail::CallTraits<decltype(&H::operator())>::Input>;

template <class S>
concept Source = requires {
  typename detail::SourceTraits<decltype(&S::operator())>::Outputs;
}
&&(std::same_as<typename detail::SourceTraits<decltype(&S::operator())>::Result, bool> ||
   std::same_as<typename detail::SourceTraits<decltype(&S::operator())>::Result, SourceState>);

template <Handler H>
class HandlerRunner final : public Runner {
  using Traits = detail::CallTraits<decltype(&H::operator())>;
  using In = typename Traits::Input;
  using Outputs = detail::OutputsOf<typename Traits::Outputs>;

 public:
  template <class... Args>
  HandlerRunner(Worker& worker, Ports& ports, const Args&... args)
      : handler_(detail::make_handler<H>(worker, args...)), outputs_{Outputs::make(ports)} {}

  std::uint64_t consume(ipc::LaneConsumer& input, std::uint32_t lane, std::uint64_t limit,
                        Work& work) override {
    std::uint64_t handled = 0;
    while (handled < limit && work.batch_goes_on()) {
      if constexpr (is_record<In>) {
        if (input.readable() == 0) break;
        const std::span<const std::byte> payload = ipc::peek_record(input);
        In event;
        if (payload.data() == nullptr || !Wire<In>::read(payload, event)) {
          input.quarantine();
          break;
        }
        call(work, lane, input.next(), event);
        input.advance(ipc::record_stride(payload.size()));
      } else {
        const std::uint64_t readable = input.readable();
        if (readable == 0) break;
        if (readable < sizeof(In)) {
          input.quarantine();
          break;
        }
        call(work, lane, input.next(), *reinterpret_cast<const In*>(input.data()));
        input.advance(sizeof(In));
      }
      ++handled;
    }
    return handled;
  }

  SourceState produce() override { return SourceState::end; }
  bool finish() override { return detail::call_finish(handler_, outputs_); }

 private:
  void call(Work& work, std::uint32_t lane, std::uint64_t position, const In& event) {
    work.begin_event(lane, position);
    std::apply([&](auto&... output) { handler_(event, output...); }, outputs_);
  }

  H handler_;
  typename Outputs::Type outputs_;
};

template <Source S>
class SourceRunner final : public Runner {
  using Traits = detail::SourceTraits<decltype(&S::operator())>;
  using Outputs = detail::OutputsOf<typename Traits::Outputs>;

 public:
  template <class... Args>
  SourceRunner(Worker& worker, Ports& ports, const Args&... args)
      : source_(detail::make_handler<S>(worker, args...)), outputs_{Outputs::make(ports)} {}

  std::uint64_t consume(ipc::LaneConsumer&, std::uint32_t, std::uint64_t, Work&) override { return 0; }
  SourceState produce() override {
    const auto state = std::apply([&](auto&... output) { return source_(output...); }, outputs_);
    if constexpr (std::same_as<typename Traits::Result, bool>) {
      return state ? SourceState::more : SourceState::end;
    } else {
      return state;
    }
  }
  bool finish() override { return detail::call_finish(source_, outputs_); }

 private:
  S source_;
  typename Outputs::Type outputs_;
};

}  // namespace sluice
