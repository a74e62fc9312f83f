// SPDX-License-Identifier: Apache-2.0
// What the compiler says about handlers and sources that are none: each usual mistake has a sentence of its
// own.
//
// check_handler() and check_source() state what a handler is, from the coarse to the fine; each requirement
// is looked at only when those before it hold, so that the first sentence is the one that helps.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include <sluice/event.hpp>
#include <sluice/handler.hpp>

namespace sluice {

class Worker;
template <class T>
class Output;
template <class H>
class Wide;

namespace detail {

// The result and the parameters of a function, or of a class's one operator().
template <class F>
struct Signature;
template <class R, class... P>
struct Signature<R(P...)> {
  using Result = R;
  using Parameters = std::tuple<P...>;
};
template <class R, class... P>
struct Signature<R(P...) noexcept> : Signature<R(P...)> {};
template <class R, class... P>
struct Signature<R (*)(P...)> : Signature<R(P...)> {};
template <class R, class... P>
struct Signature<R (*)(P...) noexcept> : Signature<R(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...)> : Signature<R(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) const> : Signature<R(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) noexcept> : Signature<R(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) const noexcept> : Signature<R(P...)> {};

template <class P>
inline constexpr bool is_output = false;
template <class T>
inline constexpr bool is_output<Output<T>> = true;
template <class P>
inline constexpr bool is_output_reference = false;
template <class T>
inline constexpr bool is_output_reference<Output<T>&> = true;

template <class P>
struct EventOfOutput;
template <class T>
struct EventOfOutput<Output<T>&> {
  using Type = T;
};

// Parameters that are outputs, and the events that go through them.
template <class Parameters>
struct OutputsAmong;
template <class... P>
struct OutputsAmong<std::tuple<P...>> {
  static constexpr bool are_references = (is_output_reference<P> && ...);
};
template <class Parameters>
struct EventsOut;
template <class... P>
struct EventsOut<std::tuple<P...>> {
  using Type = std::tuple<typename EventOfOutput<P>::Type...>;
};
template <class Events>
struct AreEvents;
template <class... T>
struct AreEvents<std::tuple<T...>> {
  static constexpr bool value = (Event<T> && ...);
};

template <class Parameters>
struct Front {
  using Type = void;
  using Rest = std::tuple<>;
};
template <class First, class... Others>
struct Front<std::tuple<First, Others...>> {
  using Type = First;
  using Rest = std::tuple<Others...>;
};

// What a handler takes: an event, or many of them that lie one behind the other.
template <class Taken>
struct EventTaken {
  using Type = Taken;
  static constexpr bool is_span = false;
  static constexpr bool is_right = true;
};
template <class T, std::size_t kExtent>
struct EventTaken<std::span<T, kExtent>> {
  using Type = std::remove_const_t<T>;
  static constexpr bool is_span = true;
  static constexpr bool is_right =
      std::is_const_v<T> && kExtent == std::dynamic_extent && !is_record<std::remove_const_t<T>>;
};

// What a class that has passed its check takes and gives.
template <class H>
struct HandlerTraits {
  using Parameters = typename Signature<decltype(&H::operator())>::Parameters;
  using Taken = EventTaken<std::remove_cvref_t<typename Front<Parameters>::Type>>;
  using Input = typename Taken::Type;
  using Outputs = typename EventsOut<typename Front<Parameters>::Rest>::Type;
};
template <class S>
struct SourceTraits {
  using Result = typename Signature<decltype(&S::operator())>::Result;
  using Outputs = typename EventsOut<typename Signature<decltype(&S::operator())>::Parameters>::Type;
};

// Whether a class has a member of that name at all: one that cannot be called, or is private, counts too,
// since a second member of the name makes it ambiguous.
struct NamesCall {
  void operator()();
};
struct NamesFinish {
  int finish;
};
template <class H, class Names>
struct WithNames : H, Names {};
template <class H>
concept OneCall = requires {
  &H::operator();
};
template <class H>
constexpr bool has_call() {
  if constexpr (std::is_class_v<H> && !std::is_final_v<H>) {
    return !requires {
      &WithNames<H, NamesCall>::operator();
    };
  } else {
    return OneCall<H>;
  }
}
template <class H>
constexpr bool has_finish() {
  if constexpr (std::is_class_v<H> && !std::is_final_v<H>) {
    return !requires {
      &WithNames<H, NamesFinish>::finish;
    };
  } else {
    return requires {
      &H::finish;
    };
  }
}

template <class H, class Events>
inline constexpr bool finishes_with = false;
template <class H, class... T>
inline constexpr bool finishes_with<H, std::tuple<T...>> = requires(H& handler, Output<T>&... outputs) {
  handler.finish(outputs...);
};
template <class H, class Events>
inline constexpr bool last_word_fits = !has_finish<H>() || finishes_with<H, Events>;

// `void`: the signature is that of no handler, and the reader has been told.
template <class H>
constexpr bool has_one_call() {
  constexpr bool kSome = has_call<H>();
  static_assert(
      kSome,
      "a handler is a class, a function or a lambda that is called as "
      "operator()(const Event&, Output<Out>&...), a source as operator()(Output<Out>&...): this type has no "
      "operator()");
  if constexpr (kSome) {
    static_assert(
        OneCall<H>,
        "a handler or source has one operator(), public, neither overloaded nor a template: write the types "
        "of its parameters");
    return OneCall<H>;
  }
  return false;
}

template <class H, class Outputs>
constexpr bool outputs_and_finish_are_right() {
  constexpr bool kReferences = OutputsAmong<Outputs>::are_references;
  static_assert(kReferences,
                "outputs are taken by reference: each parameter behind the event is an Output<Out>&");
  if constexpr (kReferences) {
    using Events = typename EventsOut<Outputs>::Type;
    static_assert(AreEvents<Events>::value,
                  "what goes through an Output<Out> is an event: a trivially copyable value and no pointer "
                  "or view, nor "
                  "holding one, or a Record");
    static_assert(
        last_word_fits<H, Events>,
        "finish() takes the outputs of operator() and nothing else: void finish(Output<Out>&...), or "
        "bool finish(Output<Out>&...) to be called again after true; another shape would never be called");
    return AreEvents<Events>::value && last_word_fits<H, Events>;
  }
  return false;
}

// H can handle events of type T. Stops the compilation with a sentence where it cannot.
template <class H, class T>
constexpr bool check_handler() {
  if constexpr (has_one_call<H>()) {
    using Parameters = typename Signature<decltype(&H::operator())>::Parameters;
    using First = typename Front<Parameters>::Type;
    constexpr bool kTakesEvent = !std::is_void_v<First> && !is_output<std::remove_cvref_t<First>>;
    static_assert(kTakesEvent, "the first parameter of a handler's operator() is the event: const Event&");
    if constexpr (kTakesEvent) {
      using Taken = std::remove_cvref_t<First>;
      using In = typename EventTaken<Taken>::Type;
      constexpr bool kSpan = EventTaken<Taken>::is_right;
      static_assert(kSpan,
                    "a handler that takes many events at once takes a std::span<const Event>, of any length, "
                    "of events of a "
                    "fixed size: records are handled one by one, and no event may be changed");
      static_assert(
          Event<In>,
          "what a handler takes is an event: a trivially copyable value and no pointer or view, nor holding "
          "one, or a Record");
      static_assert(!Event<In> || std::same_as<In, T>,
                    "the handler's operator() takes another type of event than the stream carries");
      constexpr bool kConst = std::is_convertible_v<const Taken&, First>;
      static_assert(kConst, "a handler may not change its event: it takes a const Event&");
      constexpr bool kReturnsNothing = std::is_void_v<typename Signature<decltype(&H::operator())>::Result>;
      static_assert(kReturnsNothing,
                    "a handler returns nothing: what it makes of an event it pushes into an Output<Out>&, a "
                    "parameter behind the event");
      if constexpr (kSpan && Event<In> && std::same_as<In, T> && kConst && kReturnsNothing)
        return outputs_and_finish_are_right<H, typename Front<Parameters>::Rest>();
    }
  }
  return false;
}

template <class S>
constexpr bool check_source() {
  if constexpr (has_one_call<S>()) {
    using Call = Signature<decltype(&S::operator())>;
    constexpr bool kAnswers =
        std::same_as<typename Call::Result, bool> || std::same_as<typename Call::Result, SourceState>;
    static_assert(kAnswers, "a source has one operator()(Output<Out>&...) that returns bool or SourceState");
    constexpr bool kPushes = std::tuple_size_v<typename Call::Parameters> != 0;
    static_assert(kPushes, "a source pushes what it makes: its operator() takes at least one Output<Out>&");
    if constexpr (kAnswers && kPushes) return outputs_and_finish_are_right<S, typename Call::Parameters>();
  }
  return false;
}

template <class H, class... Args>
constexpr bool check_construction() {
  constexpr bool kFits =
      std::constructible_from<H, Worker&, const Args&...> || std::constructible_from<H, const Args&...>;
  static_assert(kFits,
                "a handler is constructed from a Worker& and the arguments of to<>() behind its name, each a "
                "const copy "
                "of what was given, or from those alone, by a public constructor");
  return kFits;
}

// What a stage names: a handler, or Wide<Handler>.
template <class H>
struct HandlerIn {
  using Type = H;
  static constexpr bool is_wide = false;
};
template <class H>
struct HandlerIn<Wide<H>> {
  using Type = H;
  static constexpr bool is_wide = true;
};

template <class Call>
inline constexpr bool is_const_call = false;
template <class R, class C, class... P>
inline constexpr bool is_const_call<R (C::*)(P...) const> = true;
template <class R, class C, class... P>
inline constexpr bool is_const_call<R (C::*)(P...) const noexcept> = true;

// H, which is a handler, can run in several threads at once.
template <class H, class... Args>
constexpr bool check_wide() {
  constexpr bool kConst = is_const_call<decltype(&H::operator())>;
  static_assert(kConst,
                "a wide handler runs in several threads at once and keeps nothing: its operator() is const");
  constexpr bool kAlone = std::constructible_from<H, const Args&...>;
  static_assert(
      kAlone,
      "a wide handler has no state to recover: it is constructed from the arguments of to<>() behind its "
      "name, and from no Worker&");
  constexpr bool kOne = !HandlerTraits<H>::Taken::is_span;
  static_assert(kOne, "a wide handler takes one event: its threads share what is there among them");
  constexpr bool kNoLastWord = !has_finish<H>();
  static_assert(kNoLastWord, "a wide handler has no last word: leave finish() to a stage behind it");
  return kConst && kAlone && kOne && kNoLastWord;
}

// What a stage of events T may name, and be given.
template <class H, class T, class... Args>
constexpr bool check_stage() {
  using Handler = typename HandlerIn<H>::Type;
  if constexpr (check_handler<Handler, T>() && check_construction<Handler, Args...>()) {
    if constexpr (HandlerIn<H>::is_wide) return check_wide<Handler, Args...>();
    return true;
  }
  return false;
}

// ---- Functions and lambdas as handlers

// A function that is known when the pipeline is compiled.
template <auto kFunction, class Call = decltype(kFunction)>
struct StaticFunction;
template <auto kFunction, class R, class... P>
struct StaticFunction<kFunction, R (*)(P...)> {
  R operator()(P... parameters) const { return kFunction(static_cast<P>(parameters)...); }
};
template <auto kFunction, class R, class... P>
struct StaticFunction<kFunction, R (*)(P...) noexcept> : StaticFunction<kFunction, R (*)(P...)> {};

// A function that is known when the pipeline is made; every process of a pipeline has it at the same address.
template <class Call>
class FunctionPointer;
template <class R, class... P>
class FunctionPointer<R (*)(P...)> {
 public:
  explicit FunctionPointer(R (*function)(P...)) noexcept : function_{function} {}
  R operator()(P... parameters) const { return function_(static_cast<P>(parameters)...); }

 private:
  R (*function_)(P...);
};
template <class R, class... P>
class FunctionPointer<R (*)(P...) noexcept> : public FunctionPointer<R (*)(P...)> {
 public:
  using FunctionPointer<R (*)(P...)>::FunctionPointer;
};

template <class F>
inline constexpr bool is_function_pointer =
    std::is_pointer_v<F>&& std::is_function_v<std::remove_pointer_t<F>>;

// The value F, given behind a stage's name, can be its handler.
template <class F>
constexpr bool check_callable_value() {
  constexpr bool kStateless =
      is_function_pointer<F> || (std::is_empty_v<F> && std::is_default_constructible_v<F>);
  static_assert(
      kStateless,
      "a lambda with captures, or an object with state, is no handler: what it holds would be lost with its "
      "worker. Write a class whose state is recoverable (Worker::state, Worker::table) and say "
      "to<Class>(name, "
      "arguments...)");
  return kStateless;
}

}  // namespace detail
}  // namespace sluice
