// SPDX-License-Identifier: Apache-2.0
// Worker: what a handler knows of the process it runs in. Handed to its constructor, after the worker is
// pinned and its region recovered.
//
// Used by the worker's one thread. Construction may allocate, open files and throw: an Error thrown there
// reaches the host with its text.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/detail/problems.hpp>
#include <sluice/state.hpp>

namespace sluice {

// Names an event for as long as its pipeline lives: the same for every attempt to handle it. A handler can
// hand it to a service outside as an idempotency key.
struct EventId {
  std::uint32_t lane = 0;  // Of the worker's input lanes; for a source, 0.
  std::uint64_t position = 0;
};

namespace detail {

struct WorkerAccess;

struct WorkerIdentity {
  std::string stage;
  unsigned replica = 0;
  unsigned replicas = 1;
  std::uint32_t incarnation = 1;
  std::optional<std::uint64_t> table_rows;  // The setting table.rows, when it is not `auto`.
};

}  // namespace detail

class Worker {
 public:
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Which worker this is: its stage, its number in it, from 0, and how many the stage has.
  const std::string& stage() const noexcept { return identity_.stage; }
  unsigned replica() const noexcept { return identity_.replica; }
  unsigned replicas() const noexcept { return identity_.replicas; }
  // 1 for the first process of this worker, one more for each replacement.
  std::uint32_t incarnation() const noexcept { return identity_.incarnation; }

  // The value `name` of this worker's recoverable state: as it was committed last or, at first, `initial`. In
  // the handler's constructor only; every process of a worker asks for the same pieces in the same order. A
  // name has 39 characters at most. Throws Error when state.bytes has no room for it, or an earlier process kept
  // another piece there.
  template <class T>
  Recoverable<T> state(std::string_view name, const T& initial = T{}) {
    return {area_, name, initial};
  }
  // The same for a table, empty at first. `rows` is what the handler needs; the setting table.rows of the
  // stage overrides it.
  template <Key K, class V>
  Table<K, V> table(std::string_view name, std::uint64_t rows) {
    return {area_, name, identity_.table_rows.value_or(rows)};
  }

  // Tells the host of a problem that the flow survives: it is counted, its text is kept up to 239 bytes, and
  // sluice::main ends with status 1. Part of the batch: reported exactly once, whatever dies.
  void report(std::string_view problem) { detail::add_problem(problems_, problem); }

  // `action` runs before each commit that publishes what this worker did: the place to write out buffers
  // whose committed length is part of the state. It may run again for the same batch if the worker dies.
  void before_commit(std::function<void()> action) { before_commit_.push_back(std::move(action)); }

  // The event in the handler now.
  EventId event_id() const noexcept { return event_; }

 private:
  friend struct detail::WorkerAccess;
  Worker(detail::WorkerIdentity identity, detail::StateArea& area, const EventId& event)
      : identity_{std::move(identity)}, area_{area}, event_{event}, problems_{area, detail::kProblemsName} {}

  detail::WorkerIdentity identity_;
  detail::StateArea& area_;
  const EventId& event_;
  Recoverable<detail::Problems> problems_;
  std::vector<std::function<void()>> before_commit_;
};

}  // namespace sluice
