// SPDX-License-Identifier: Apache-2.0
// Worker: what a handler knows of the process it runs in. Handed to its constructor, after the worker is
// pinned and its region recovered.
//
// Used by the worker's one thread. Construction may allocate, open files and throw: an Error thrown there
// reaches the host with its text.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/detail/no_function.hpp>
#include <sluice/detail/problems.hpp>
#include <sluice/event_id.hpp>
#include <sluice/refused.hpp>
#include <sluice/state.hpp>
#include <sluice/unavailable.hpp>

namespace sluice {

// What a commit covers of one lane into the worker: the events from `first` up to the position `end`, which is that of
// the first one that it does not cover. docs/guide/outside.md says how a sink keeps it as a watermark.
struct Covered {
  EventId first;
  std::uint64_t end = 0;
};

namespace detail {

struct WorkerAccess;

// `limit` from now on, on CLOCK_MONOTONIC; at most a year, so that it can be counted.
inline std::int64_t ns_after(std::chrono::nanoseconds limit) noexcept {
  constexpr std::chrono::nanoseconds kMost = std::chrono::hours{24 * 365};
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  return (now + (limit < kMost ? limit : kMost)).count();
}

// Throws Error: it cannot be waited for.
[[noreturn]] void refuse_closed(int fd, const std::string& stage);

// What the loop of a worker does for its handler.
class WorkerServices {
 public:
  virtual ~WorkerServices() = default;
  // What the worker does now may last until then: CLOCK_MONOTONIC, 0: no longer than any event. What it was before.
  virtual std::int64_t may_last_until(std::int64_t until_ns) noexcept = 0;
  virtual bool wait_for(int fd, std::chrono::nanoseconds limit) = 0;
  virtual void when_safe(std::function<void()> tell) = 0;
  virtual bool takes_spans() const noexcept = 0;
  virtual bool interrupted() const noexcept = 0;
};

struct WorkerIdentity {
  std::string pipeline;
  std::uint64_t run = 0;
  std::uint64_t life = 0;
  std::string stage;
  unsigned replica = 0;
  unsigned replicas = 1;
  std::uint32_t incarnation = 1;
  std::optional<std::uint64_t> table_rows;  // The setting table.rows, when it is not `auto`.
};

}  // namespace detail

// A call to the outside that says how long it may take: Worker::outside(). It ends with this object.
class [[nodiscard]] OutsideCall {
 public:
  ~OutsideCall() {
    if (services_ != nullptr) services_->may_last_until(before_ns_);
  }
  OutsideCall(OutsideCall&& other) noexcept
      : services_{std::exchange(other.services_, nullptr)}, before_ns_{other.before_ns_} {}
  OutsideCall(const OutsideCall&) = delete;
  OutsideCall& operator=(const OutsideCall&) = delete;
  OutsideCall& operator=(OutsideCall&&) = delete;

 private:
  friend class Worker;
  OutsideCall(detail::WorkerServices& services, std::chrono::nanoseconds limit)
      : services_{&services}, before_ns_{services.may_last_until(detail::ns_after(limit))} {}

  detail::WorkerServices* services_;  // nullptr once it is moved from.
  std::int64_t before_ns_;
};

class Worker {
 public:
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The pipeline's name, and the number of its run (event_id.hpp): drawn at the first start, kept by a resume; 0 in
  // run_inline.
  const std::string& pipeline() const noexcept { return identity_.pipeline; }
  std::uint64_t run() const noexcept { return identity_.run; }
  // Which start of that run: higher than any start before it that this one goes on from, by a segment or a checkpoint, and
  // the same for all processes of the start, replacements and their masters too. Of two hosts that go on from one
  // checkpoint the later one has the higher number, as far as their clocks agree. 0 in run_inline.
  std::uint64_t life() const noexcept { return identity_.life; }
  // Which worker this is: its stage, its number in it, from 0, and how many the stage has.
  const std::string& stage() const noexcept { return identity_.stage; }
  unsigned replica() const noexcept { return identity_.replica; }
  unsigned replicas() const noexcept { return identity_.replicas; }
  // 1 for the first process of this worker, one more for each replacement.
  std::uint32_t incarnation() const noexcept { return identity_.incarnation; }

  // The value `name` of this worker's recoverable state: as it was committed last or, at first, `initial`, or T{}. In
  // the handler's constructor only; every process of a worker asks for the same pieces in the same order. A
  // name has 39 characters at most. Throws Error when state.bytes has no room for it, or an earlier process kept
  // another piece there: of another name, type, version or size. Not to ask for one that was kept is the same Error.
  // A type is its name, and its members as far as they can be seen: numbers and enumerations, in members and arrays too, as
  // far as the 1024th of them and the 64th change of type; not those of a class with constructors or private members, which is
  // its size. With a version, which the user counts up when the bytes come to mean something else, the name may change.
  template <class T>
  Recoverable<T> state(std::string_view name, const T& initial, std::uint32_t version = 0) {
    return {area_, name, initial, version};
  }
  template <class T>
  Recoverable<T> state(std::string_view name) {
    return {area_, name};
  }
  // The same for a table, empty at first. `rows` is what the handler needs; the setting table.rows of the
  // stage overrides it.
  template <class K, class V>
  Table<K, V> table(std::string_view name, std::uint64_t rows, std::uint32_t version = 0) {
    return {area_, name, identity_.table_rows.value_or(rows), version};
  }

  // Tells the host of a problem that the flow survives: it is counted, its text is kept up to 239 bytes, and
  // sluice::main ends with status 1. Part of the batch: reported exactly once, whatever dies.
  void report(std::string_view problem) { detail::add_problem(problems_, problem); }

  // `flush` runs before each commit that covers events of this worker: the place for effects outside. Asked for in
  // the handler's constructor. The contract (docs/guide/outside.md has it with a program):
  //   it is told what the commit covers, a range of positions for each lane that events came from;
  //   it never runs in the midst of an event: the stage is never committed there, and what one event pushes must fit
  //   into a lane;
  //   it never runs for an event that threw: the batch is undone with it and done again by a replacement;
  //   it runs again for the same events if the worker dies between the flush and the commit, perhaps in other batches:
  //   so it must know what is done, by event_id() or by a watermark of what a commit covered;
  //   what it throws belongs to the batch: the batch is done again event by event, so that an event whose flush fails
  //   by itself is found and blamed, and no other. sluice::Unavailable is blamed on no event, sluice::Refused names those
  //   that become dead letters at once.
  void before_commit(std::function<void(std::span<const Covered>)> flush) {
    detail::refuse_no_function(flush, "hand to before_commit() of stage", stage());
    acts_ = true;
    flushes_.push_back(std::move(flush));
  }
  void before_commit(std::function<void()> flush) {
    detail::refuse_no_function(flush, "hand to before_commit() of stage", stage());
    before_commit([flush = std::move(flush)](std::span<const Covered>) { flush(); });
  }

  // `action` runs after each commit of this worker: the place to tell the outside what is done, since nothing takes it
  // back any more. Asked for in the handler's constructor.
  //   It also runs in the midst of an event, once those before it are committed: when a lane is full, and when the handler
  //   waits (wait_for). The event in the handler is not among what is done then, and `whole` is false.
  //   It does not run for a commit that the worker did not survive: the constructor of the replacement finds the state
  //   as it was committed last. So what it says must be something that can be said later, or asked for.
  //   It pushes nothing and changes no recoverable state. What it throws undoes nothing: the handler is made anew or the
  //   worker replaced, and no event is blamed but one that it is in the midst of.
  void after_commit(std::function<void(bool whole)> action) {
    detail::refuse_no_function(action, "hand to after_commit() of stage", stage());
    acts_ = true;
    after_commits_.push_back(std::move(action));
  }
  void after_commit(std::function<void()> action) {
    detail::refuse_no_function(action, "hand to after_commit() of stage", stage());
    after_commit([action = std::move(action)](bool) { action(); });
  }

  // `action` runs when a stage has nothing to handle: behind its last event, and as long as none comes about once a second.
  // The place for what is due by the clock: a file to be completed, a word to keep a connection open. Asked for in the
  // handler's constructor.
  //   All that came before is committed by then. It may change recoverable state, which is committed behind it: then
  //   after_commit() actions follow, and no flush. It pushes nothing. What it throws is blamed on no event.
  //   A source has calls of its own for that.
  void when_idle(std::function<void()> action) {
    detail::refuse_no_function(action, "hand to when_idle() of stage", stage());
    acts_ = true;
    when_idle_.push_back(std::move(action));
  }

  // `tell` runs once what this worker has committed by now is safe: the place to acknowledge. At once, unless the stage has
  // outside.after=checkpoint; then when a checkpoint that is on the disk holds it, in the order in which it was asked. Asked
  // for in an action of after_commit(), it is about all that is done then.
  //   What `tell` says must be known when it is asked for: the state that it would find goes on meanwhile.
  //   It may come in the midst of an event. All else is as for after_commit(): it does not run if the worker dies before, and
  //   the constructor of the replacement says by when_safe(), too, what it has found committed.
  //   While very many wait, the worker handles nothing more.
  void when_safe(std::function<void()> tell) {
    detail::refuse_no_function(tell, "hand to when_safe() of stage", stage());
    services_.when_safe(std::move(tell));
  }

  // Declares a call that may take up to `limit`: the watchdog judges the worker by that, and shows it as waiting
  // outside, for as long as what this returns lives. A call that takes longer, by
  // watchdog.deadline, is ended with the process; its event is handled again, and blamed only if a processor was busy.
  OutsideCall outside(std::chrono::nanoseconds limit) { return {services_, limit}; }

  // For a source: waits until `fd` is readable (or at its end, or in error), or `limit` is over; true for the former. Error if not open.
  // What earlier calls pushed is committed before. The worker shows as idle and takes no processor time. Also returns,
  // with false, when the pipeline is drained, and when something was told (when_safe): a source then answers nothing_now.
  // A source with flushes, which is not committed in the midst of a call, gets false at once when `fd` is not readable
  // and earlier calls of its batch are not committed: they are when this call is over, and the next one waits.
  bool wait_for(int fd, std::chrono::nanoseconds limit) {
    if (fd < 0) detail::refuse_closed(fd, stage());
    return services_.wait_for(fd, limit);
  }
  bool wait_for(std::chrono::nanoseconds limit) { return services_.wait_for(-1, limit); }

  // For a source, in its constructor: it has no end of its own, as a socket or a clock has none. To be drained is its regular
  // end, then. Any other source that is drained before it has said that it is at its end has been interrupted.
  void declare_endless() noexcept { endless_ = true; }
  // In finish(): what came is not all that was to come, since a drain has interrupted a source before this worker. What counts
  // only as a whole, a report or a file, is not to be published then. The host is no source: what it pushes is all
  // there is, whenever it ends.
  bool interrupted() const noexcept { return services_.interrupted(); }

  // The event in the handler now; in a flush, the last one of the batch. Of a span the first one: an earlier attempt may have
  // had other spans, so that it tells nothing about the others.
  EventId event_id() const noexcept { return event_; }
  // Whether the handler takes spans. Known once it is made: not in its constructor.
  bool takes_spans() const noexcept { return services_.takes_spans(); }

 private:
  friend struct detail::WorkerAccess;
  Worker(detail::WorkerIdentity identity, detail::StateArea& area, const EventId& event,
         detail::WorkerServices& services)
      : identity_{std::move(identity)},
        area_{area},
        event_{event},
        services_{services},
        problems_{area, detail::kProblemsName} {}

  detail::WorkerIdentity identity_;
  detail::StateArea& area_;
  const EventId& event_;
  detail::WorkerServices& services_;
  Recoverable<detail::Problems> problems_;
  std::vector<std::function<void(std::span<const Covered>)>> flushes_;
  std::vector<std::function<void(bool)>> after_commits_;
  std::vector<std::function<void()>> when_idle_;
  std::vector<std::function<void()>> before_any_commit_;  // Also in the midst of an event: they can bear it.
  bool acts_ = false;                                     // There is one of these.
  bool endless_ = false;                                  // A source.
};

}  // namespace sluice
