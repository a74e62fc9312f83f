// SPDX-License-Identifier: Apache-2.0
// run_inline: the same pipeline, with the same semantics, in the calling thread. For tests and debuggers.
//
// No process, no waiting, no clock: every run of the same events does the same, in the same order. State,
// commits, routes, lanes and back-pressure are those of the engine. What a handler throws reaches the caller.
#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/error.hpp>
#include <sluice/event.hpp>
#include <sluice/host_ends.hpp>
#include <sluice/pipeline.hpp>
#include <sluice/settings.hpp>
#include <sluice/stats.hpp>

namespace sluice {

// A record that owns its bytes, as run_inline hands it out.
template <class Head>
struct OwnedRecord {
  Head head;
  std::string body;
};

namespace detail {

template <class T>
struct Owned {
  using Type = T;
  static T from(std::span<const std::byte> payload) {
    T event;
    std::memcpy(&event, payload.data(), sizeof(T));
    return event;
  }
};
template <class Head>
struct Owned<Record<Head>> {
  using Type = OwnedRecord<Head>;
  static Type from(std::span<const std::byte> payload) {
    Record<Head> event{};  // Stays so if the payload is too short for a head.
    detail::Wire<Record<Head>>::read(payload, event);
    return {event.head, std::string{event.text()}};
  }
};
template <>
struct Owned<Bytes> {
  using Type = std::string;
  static Type from(std::span<const std::byte> payload) { return std::string{Bytes{payload}.text()}; }
};

}  // namespace detail

class InlineRun {
 public:
  explicit InlineRun(const Pipeline& pipeline, const Settings& settings = {});
  ~InlineRun();
  InlineRun(InlineRun&&) noexcept;
  InlineRun& operator=(InlineRun&&) noexcept;

  template <Event T>
  void push(std::string_view inlet, const T& event) {
    inlet_end(inlet, detail::EventType::of<T>()).push(event);
  }
  // Handles what is there, as far as it goes.
  void run();
  // Closes the inlets and runs to the end.
  void finish();

  // What the outlet `name` has given so far, in order. Values of T; for Bytes strings, for Record<Head>
  // OwnedRecord<Head>. Throws Error when there is no such outlet.
  template <Event T>
  std::vector<typename detail::Owned<T>::Type> events(std::string_view outlet) const {
    std::vector<typename detail::Owned<T>::Type> events;
    for (const std::vector<std::byte>& payload : payloads(outlet, detail::EventType::of<T>())) {
      events.push_back(detail::Owned<T>::from(payload));
    }
    return events;
  }
  Stats stats() const;

 private:
  detail::HostInlet& inlet_end(std::string_view name, const detail::EventType& type);
  const std::vector<std::vector<std::byte>>& payloads(std::string_view outlet,
                                                      const detail::EventType& type) const;

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Runs a pipeline whose events come from its sources.
InlineRun run_inline(const Pipeline& pipeline, const Settings& settings = {});

// Runs a pipeline with one inlet on `events`.
template <std::ranges::input_range Events>
InlineRun run_inline(const Pipeline& pipeline, const Events& events, const Settings& settings = {}) {
  std::string inlet;
  for (const detail::Node& node : pipeline.graph().nodes) {
    if (node.kind != detail::NodeKind::inlet) continue;
    if (!inlet.empty()) {
      throw Error{{"run inline", pipeline.name(), "it has several inlets", "use InlineRun and push()"}};
    }
    inlet = node.name;
  }
  InlineRun run{pipeline, settings};
  for (const auto& event : events)
    run.push(inlet, event);
  run.finish();
  return run;
}

}  // namespace sluice
