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
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <sluice/detail/graph.hpp>
#include <sluice/detail/no_function.hpp>
#include <sluice/detail/runner.hpp>
#include <sluice/error.hpp>

namespace sluice {

template <Event T>
class Stream;

namespace detail {

template <class Outputs>
struct StreamsOf;

}  // namespace detail

// Events of type T on their way: one or more outputs of stages, and the route to the workers that take them.
template <Event T>
class Stream {
 public:
  // Events with the same key go to the same worker, in order. `key_of` is a member pointer or a function. A pipeline is
  // resumed (segment.path) only by one whose key functions have the same types; what a function does is not seen. So count
  // up `version` when it changes: with one, the type may change. Gives the stream to go on with; this one stays as it is.
  template <class F>
  requires std::invocable<const F&, const T&>
  [[nodiscard(
      "a stream has this route only if one goes on with what by() gives: "
      "lines.by(key).to<Handler>(name)")]] Stream
  by(F key_of, std::uint32_t version = 0) const {
    return with(detail::Route::by<T>(std::move(key_of), version));
  }
  // To the workers of the next stage in turn (what holds if nothing is said), to the one whose lane is
  // emptiest, or to each of them.
  [[nodiscard("a stream has this route only if one goes on with what round_robin() gives")]] Stream
  round_robin() const {
    return with({detail::RouteKind::round_robin, nullptr, nullptr, {}});
  }
  [[nodiscard("a stream has this route only if one goes on with what least_loaded() gives")]] Stream
  least_loaded() const {
    return with({detail::RouteKind::least_loaded, nullptr, nullptr, {}});
  }
  [[nodiscard("a stream has this route only if one goes on with what broadcast() gives")]] Stream broadcast()
      const {
    return with({detail::RouteKind::broadcast, nullptr, nullptr, {}});
  }

  // The events of both, in no order between them; each keeps its own route. Throws Error for the stream of
  // another pipeline; to() and outlet() do for streams that bring the same events twice, unless each is by a key of its own,
  // for the worker of each.
  [[nodiscard("streams are joined only in what merge() gives: left.merge(right).to<Handler>(name)")]] Stream
  merge(const Stream& other) const {
    if (other.graph_ != graph_) {
      throw Error{{"merge streams of", graph_->name + " and " + other.graph_->name,
                   "a stream stays within its pipeline", "join them by an outlet and an inlet"}};
    }
    Stream merged = *this;
    merged.taps_.insert(merged.taps_.end(), other.taps_.begin(), other.taps_.end());
    return merged;
  }

  template <Event Other>
  requires(!std::same_as<Other, T>) Stream merge(const Stream<Other>&)
  const {
    static_assert(
        std::same_as<Other, T>,
        "merge() takes streams of one type of event: put a stage in front of each that makes this type, a "
        "struct with what both have or a std::variant of the two");
    return *this;
  }

  // Adds the stage `name`, whose workers run a handler H, or the handler of a Wide<Handler> (wide.hpp), made from a
  // Worker& and `args`, or from these alone. Gives the streams of its outputs: nothing, one Stream, or a tuple of them. Throws Error for a bad
  // name.
  template <class H, class... Args>
  auto to(std::string name, StageOptions options, Args... args) const {
    if constexpr (detail::check_stage<H, T, Args...>())
      return add<H>(std::move(name), std::move(options), std::move(args)...);
  }
  template <class H, class... Args>
  auto to(std::string name, Args... args) const {
    return to<H>(std::move(name), StageOptions{}, std::move(args)...);
  }
  // The same with a function, to<&parse>("parse"), or with a function or lambda behind the name. A lambda
  // captures nothing.
  template <auto kFunction>
  auto to(std::string name, StageOptions options = {}) const {
    return to<detail::StaticFunction<kFunction>>(std::move(name), std::move(options));
  }
  template <class... None, class F>
  requires(sizeof...(None) == 0) auto to(std::string name, StageOptions options, F handler) const {
    if constexpr (detail::check_callable_value<F>()) {
      if constexpr (detail::is_function_pointer<F>) {
        detail::refuse_no_function(handler, "add the stage", name);
        return to<detail::FunctionPointer<F>>(std::move(name), std::move(options), handler);
      } else {
        return to<F>(std::move(name), std::move(options));
      }
    }
  }
  template <class... None, class F>
  requires(sizeof...(None) == 0) auto to(std::string name, F handler) const {
    return to(std::move(name), StageOptions{}, std::move(handler));
  }

  // The host pulls these events: Engine::outlet<T>(name). Throws Error for a bad name, or one that is taken.
  void outlet(std::string name) const {
    graph_->refuse_twice(taps_, detail::NodeKind::outlet, name);
    connect(graph_->add(detail::NodeKind::outlet, std::move(name), {}, {}, {}));
  }

 private:
  friend class Pipeline;
  template <class Outputs>
  friend struct detail::StreamsOf;

  template <class H, class... Args>
  auto add(std::string&& name, StageOptions&& options, Args... args) const {
    using Outputs = typename detail::HandlerTraits<typename detail::HandlerIn<H>::Type>::Outputs;
    graph_->refuse_twice(taps_, detail::NodeKind::stage, name);
    const detail::NodeIndex node = graph_->add(
        detail::NodeKind::stage, std::move(name), std::move(options), detail::OutputsOf<Outputs>::types(),
        [args...](Worker& worker, detail::OutputPort& port) -> std::unique_ptr<detail::Runner> {
          using Runner = typename detail::RunnerOf<H, Args...>::Type;
          return std::make_unique<Runner>(worker, port, args...);
        });
    graph_->nodes[node].wide = detail::HandlerIn<H>::is_wide;
    connect(node);
    return detail::StreamsOf<Outputs>::make(graph_, node);
  }

  Stream(std::shared_ptr<detail::Graph> graph, detail::NodeIndex node, std::size_t output)
      : graph_{std::move(graph)}, taps_{{node, output, {}}} {}

  Stream with(const detail::Route& route) const {
    Stream routed = *this;
    for (detail::Tap& tap : routed.taps_)
      tap.route = route;
    return routed;
  }
  void connect(detail::NodeIndex node) const {
    for (const detail::Tap& tap : taps_) {
      graph_->edges.push_back(
          {tap.node, tap.output, node, tap.route, detail::EventType::of<T>(), detail::event_fields<T>()});
    }
  }

  std::shared_ptr<detail::Graph> graph_;
  std::vector<detail::Tap> taps_;
};

namespace detail {

template <class... Outs>
struct StreamsOf<std::tuple<Outs...>> {
  static auto make(const std::shared_ptr<detail::Graph>& graph, detail::NodeIndex node) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple<Stream<Outs>...>{Stream<Outs>{graph, node, I}...};
    }
    (std::index_sequence_for<Outs...>{});
  }
};
template <class Out>
struct StreamsOf<std::tuple<Out>> {
  static Stream<Out> make(const std::shared_ptr<detail::Graph>& graph, detail::NodeIndex node) {
    return {graph, node, 0};
  }
};
template <>
struct StreamsOf<std::tuple<>> {
  static void make(const std::shared_ptr<detail::Graph>&, detail::NodeIndex) {}
};

}  // namespace detail

class Pipeline {
 public:
  // `name` shows in reports, statistics and /proc.
  explicit Pipeline(std::string name) : graph_{std::make_shared<detail::Graph>()} {
    graph_->name = std::move(name);
  }

  // A stage whose workers make events from something outside: a file, a socket, a generator. S is made from a
  // Worker& and `args`, or from these alone. Gives the streams of its outputs, as Stream::to() does. Throws
  // Error for a bad name: one that is taken, or that is not of 1 to 64 of a-z, 0-9, '-' and '_', a letter
  // first.
  template <class S, class... Args>
  auto source(std::string name, StageOptions options, Args... args) {
    if constexpr (detail::check_source<S>() && detail::check_construction<S, Args...>())
      return add_source<S>(std::move(name), std::move(options), std::move(args)...);
  }
  template <class S, class... Args>
  auto source(std::string name, Args... args) {
    return source<S>(std::move(name), StageOptions{}, std::move(args)...);
  }
  // The same with a function, source<&read>("read"), or with a function or lambda behind the name.
  template <auto kFunction>
  auto source(std::string name, StageOptions options = {}) {
    return source<detail::StaticFunction<kFunction>>(std::move(name), std::move(options));
  }
  template <class... None, class F>
  requires(sizeof...(None) == 0) auto source(std::string name, StageOptions options, F make) {
    if constexpr (detail::check_callable_value<F>()) {
      if constexpr (detail::is_function_pointer<F>) {
        detail::refuse_no_function(make, "add the source", name);
        return source<detail::FunctionPointer<F>>(std::move(name), std::move(options), make);
      } else {
        return source<F>(std::move(name), std::move(options));
      }
    }
  }
  template <class... None, class F>
  requires(sizeof...(None) == 0) auto source(std::string name, F make) {
    return source(std::move(name), StageOptions{}, std::move(make));
  }

  // The host pushes these events: Engine::inlet<T>(name). Throws Error for a bad name.
  template <class T>
  auto inlet(const std::string& name) {
    static_assert(
        Event<T>,
        "an event is a trivially copyable value and no pointer or view, nor holding one, or a Record");
    if constexpr (Event<T>) {
      const detail::NodeIndex node =
          graph_->add(detail::NodeKind::inlet, name, {}, {detail::EventType::of<T>()}, {});
      return Stream<T>{graph_, node, 0};
    }
  }

  // Tells this pipeline from others of the same stages: argument("input", path). A pipeline is resumed
  // (segment.path) only by one with the same arguments; to the engine they mean nothing else.
  void argument(std::string name, std::string value) {
    graph_->arguments.emplace_back(std::move(name), std::move(value));
  }

  // What a setting is in this program unless its user says something else: default_setting("batch.events", "64"), or
  // "stage.parse.lane.slots" for one stage. Stronger than the table's default, weaker than a profile that changes the
  // setting and than all that is said: file, environment, API, command line; its origin is shown as "program". Throws Error
  // for an unknown key, a bad value, and the profile itself; a stage that the pipeline does not have is found when it runs.
  void default_setting(std::string_view key, std::string_view value) {
    graph_->defaults.set(key, value, Origin::program);
  }
  // `said`, with those defaults below it. Engine and run_inline do that for themselves: for programs that look up settings.
  Settings with_defaults(const Settings& said) const { return said.above(graph_->defaults); }

  const std::string& name() const noexcept { return graph_->name; }
  // What the engine reads.
  const detail::Graph& graph() const noexcept { return *graph_; }

 private:
  template <class S, class... Args>
  auto add_source(std::string&& name, StageOptions&& options, Args... args) {
    using Outputs = typename detail::SourceTraits<S>::Outputs;
    const detail::NodeIndex node = graph_->add(
        detail::NodeKind::source, std::move(name), std::move(options), detail::OutputsOf<Outputs>::types(),
        [args...](Worker& worker, detail::OutputPort& port) -> std::unique_ptr<detail::Runner> {
          using Runner = detail::SourceRunner<S, detail::sees_worker<S, Args...>>;
          return std::make_unique<Runner>(worker, port, args...);
        });
    return detail::StreamsOf<Outputs>::make(graph_, node);
  }

  std::shared_ptr<detail::Graph> graph_;
};

}  // namespace sluice
