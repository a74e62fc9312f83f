// SPDX-License-Identifier: Apache-2.0
// Pipeline and Stream: how a program says what its pipeline is.
//
//     sluice::Pipeline market{"market"};
//     auto lines = market.source<CaptureFile>("read", path);
//     auto [trades, depths] = lines.by(instrument_of).to<Parse>("parse", {.workers = 2});
//     trades.by(&Trade::instrument).to<Bars>("bars").to<TsvFile>("write", "bars.tsv");
//
// A stream knows the type of its events: a handler that takes another type does not compile. Nothing starts
// here; a Pipeline can be printed, checked and run any number of times. Copies are the same pipeline.
// Arguments behind a name are copied and handed to the constructor of each worker's handler.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <sluice/error.hpp>
#include <sluice/graph.hpp>
#include <sluice/runner.hpp>

namespace sluice {

template <Event T>
class Stream;

namespace detail {

template <class Outputs>
struct StreamsOf;

}  // namespace detail

// Events of type T on their way: one or more outputs of stages, and the route to whoever takes them.
template <Event T>
class Stream {
 public:
  // Events with the same key go to the same worker, in order. `key_of` is a member pointer or a function.
  template <class F>
  requires std::invocable<const F&, const T&> Stream by(F key_of)
  const { return with(Route::by<T>(std::move(key_of))); }
  Stream round_robin() const { return with({RouteKind::round_robin, nullptr, nullptr}); }
  Stream least_loaded() const { return with({RouteKind::least_loaded, nullptr, nullptr}); }
  Stream broadcast() const { return with({RouteKind::broadcast, nullptr, nullptr}); }

  // The events of both, in no order between them; each keeps its own route. Throws Error for the stream of
  // another pipeline.
  Stream merge(const Stream& other) const {
    if (other.graph_ != graph_) {
      throw Error{{"merge streams of", graph_->name + " and " + other.graph_->name,
                   "a stream stays within its pipeline", "join them by an outlet and an inlet"}};
    }
    Stream merged = *this;
    merged.taps_.insert(merged.taps_.end(), other.taps_.begin(), other.taps_.end());
    return merged;
  }

  // Adds the stage `name`, whose workers run a handler H. Gives the streams of its outputs: nothing, one
  // Stream, or a tuple of them. Throws Error for a bad name.
  template <class H, class... Args>
  auto to(std::string name, StageOptions options, Args... args) const {
    static_assert(Handler<H>, "a handler has one operator()(const Event&, Output<Out>&...)");
    using Traits = detail::CallTraits<decltype(&H::operator())>;
    static_assert(std::same_as<typename Traits::Input, T>,
                  "the handler's operator() takes another type of event than the stream carries");
    using Outputs = typename Traits::Outputs;
    const std::size_t node =
        graph_->add({NodeKind::stage, std::move(name), options, detail::OutputsOf<Outputs>::types(),
                     [args...](Worker& worker, Ports& ports) -> std::unique_ptr<Runner> {
                       return std::make_unique<HandlerRunner<H>>(worker, ports, args...);
                     }});
    connect(node);
    return detail::StreamsOf<Outputs>::make(graph_, node);
  }
  template <class H, class... Args>
  auto to(std::string name, Args... args) const {
    return to<H>(std::move(name), StageOptions{}, std::move(args)...);
  }

  // The host pulls these events: Engine::outlet<T>(name).
  void outlet(std::string name) const {
    connect(graph_->add({NodeKind::outlet, std::move(name), {}, {}, {}}));
  }

 private:
  friend class Pipeline;
  template <class Outputs>
  friend struct detail::StreamsOf;

  struct Tap {
    std::size_t node;
    std::size_t output;
    Route route;
  };

  Stream(std::shared_ptr<Graph> graph, std::size_t node, std::size_t output)
      : graph_{std::move(graph)}, taps_{{node, output, {}}} {}

  Stream with(const Route& route) const {
    Stream routed = *this;
    for (Tap& tap : routed.taps_)
      tap.route = route;
    return routed;
  }
  void connect(std::size_t node) const {
    for (const Tap& tap : taps_) {
      graph_->edges.push_back({tap.node, tap.output, node, tap.route, EventType::of<T>()});
    }
  }

  std::shared_ptr<Graph> graph_;
  std::vector<Tap> taps_;
};

namespace detail {

template <class... Outs>
struct StreamsOf<std::tuple<Outs...>> {
  static auto make(const std::shared_ptr<Graph>& graph, std::size_t node) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple<Stream<Outs>...>{Stream<Outs>{graph, node, I}...};
    }
    (std::index_sequence_for<Outs...>{});
  }
};
template <class Out>
struct StreamsOf<std::tuple<Out>> {
  static Stream<Out> make(const std::shared_ptr<Graph>& graph, std::size_t node) { return {graph, node, 0}; }
};
template <>
struct StreamsOf<std::tuple<>> {
  static void make(const std::shared_ptr<Graph>&, std::size_t) {}
};

}  // namespace detail

class Pipeline {
 public:
  explicit Pipeline(std::string name) : graph_{std::make_shared<Graph>()} { graph_->name = std::move(name); }

  // A stage whose workers make events from something outside: a file, a socket, a generator.
  template <class S, class... Args>
  auto source(std::string name, StageOptions options, Args... args) {
    static_assert(Source<S>, "a source has one operator()(Output<Out>&...) that returns bool or SourceState");
    using Outputs = typename detail::SourceTraits<decltype(&S::operator())>::Outputs;
    const std::size_t node =
        graph_->add({NodeKind::source, std::move(name), options, detail::OutputsOf<Outputs>::types(),
                     [args...](Worker& worker, Ports& ports) -> std::unique_ptr<Runner> {
                       return std::make_unique<SourceRunner<S>>(worker, ports, args...);
                     }});
    return detail::StreamsOf<Outputs>::make(graph_, node);
  }
  template <class S, class... Args>
  auto source(std::string name, Args... args) {
    return source<S>(std::move(name), StageOptions{}, std::move(args)...);
  }

  // The host pushes these events: Engine::inlet<T>(name).
  template <class T>
  auto inlet(std::string name) {
    static_assert(Event<T>, "an event is a trivially copyable value and no pointer or view, or a Record");
    const std::size_t node = graph_->add({NodeKind::inlet, std::move(name), {}, {EventType::of<T>()}, {}});
    return Stream<T>{graph_, node, 0};
  }

  // Tells this pipeline from others of the same stages: argument("input", path). A pipeline is resumed
  // (segment.path) only by one with the same arguments; to the engine they mean nothing else.
  void argument(std::string name, std::string value) {
    graph_->arguments.emplace_back(std::move(name), std::move(value));
  }

  const std::string& name() const noexcept { return graph_->name; }
  const Graph& graph() const noexcept { return *graph_; }

 private:
  std::shared_ptr<Graph> graph_;
};

}  // namespace sluice
