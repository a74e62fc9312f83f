// SPDX-License-Identifier: Apache-2.0
// Runners: how the worker loop, which knows no event types, calls handlers, which know nothing else.
//
// One virtual call a batch and lane; the loop over the events is compiled with the handler inside.
#pragma once

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
#include <sluice/detail/event_type.hpp>
#include <sluice/detail/graph.hpp>
#include <sluice/detail/output_port.hpp>
#include <sluice/detail/signature.hpp>
#include <sluice/detail/wire.hpp>
#include <sluice/event.hpp>
#include <sluice/handler.hpp>
#include <sluice/ipc/framing.hpp>
#include <sluice/output.hpp>
#include <sluice/worker.hpp>

namespace sluice::detail {

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

template <class H, class... Args>
H make_handler(Worker& worker, const Args&... args) {
  if constexpr (std::constructible_from<H, Worker&, const Args&...>) {
    return H(worker, args...);
  } else {
    return H(args...);
  }
}

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

// Passed check_handler() and check_construction().
template <class H>
class HandlerRunner final : public Runner {
  using Traits = HandlerTraits<H>;
  using In = typename Traits::Input;
  using Outputs = OutputsOf<typename Traits::Outputs>;

 public:
  template <class... Args>
  HandlerRunner(Worker& worker, OutputPort& port, const Args&... args)
      : handler_(make_handler<H>(worker, args...)), outputs_{Outputs::make(port)} {}

  std::uint64_t consume(ipc::LaneConsumer& input, std::uint32_t lane, std::uint64_t limit,
                        Work& work) override {
    std::uint64_t handled = 0;
    work.enter_lane(lane);
    while (handled < limit && work.batch_goes_on()) {
      if constexpr (is_record<In>) {
        if (input.readable() == 0) break;
        const std::span<const std::byte> payload = ipc::peek_record(input);
        In event;
        if (payload.data() == nullptr || !Wire<In>::read(payload, event)) {
          input.quarantine();
          break;
        }
        call(work, input.next(), event);
        input.advance(ipc::record_stride(payload.size()));
      } else {
        const std::uint64_t readable = input.readable();
        if (readable == 0) break;
        if (readable < sizeof(In)) {
          input.quarantine();
          break;
        }
        call(work, input.next(), *reinterpret_cast<const In*>(input.data()));
        input.advance(sizeof(In));
      }
      ++handled;
    }
    return handled;
  }

  SourceState produce() override { return SourceState::end; }
  bool finish() override { return call_finish(handler_, outputs_); }

 private:
  void call(Work& work, std::uint64_t position, const In& event) {
    work.begin_event(position);
    std::apply([&](auto&... output) { handler_(event, output...); }, outputs_);
  }

  H handler_;
  typename Outputs::Type outputs_;
};

// Passed check_source() and check_construction().
template <class S>
class SourceRunner final : public Runner {
  using Traits = SourceTraits<S>;
  using Outputs = OutputsOf<typename Traits::Outputs>;

 public:
  template <class... Args>
  SourceRunner(Worker& worker, OutputPort& port, const Args&... args)
      : source_(make_handler<S>(worker, args...)), outputs_{Outputs::make(port)} {}

  std::uint64_t consume(ipc::LaneConsumer&, std::uint32_t, std::uint64_t, Work&) override { return 0; }
  SourceState produce() override {
    const auto state = std::apply([&](auto&... output) { return source_(output...); }, outputs_);
    if constexpr (std::same_as<typename Traits::Result, bool>) {
      return state ? SourceState::more : SourceState::end;
    } else {
      return state;
    }
  }
  bool finish() override { return call_finish(source_, outputs_); }

 private:
  S source_;
  typename Outputs::Type outputs_;
};

}  // namespace sluice::detail
