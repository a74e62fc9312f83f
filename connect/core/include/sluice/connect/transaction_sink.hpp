// SPDX-License-Identifier: Apache-2.0
// TransactionSink: effects in a store that has transactions, each exactly once, whatever dies here or there.
//
// A handler owns one and hands it what an event is to do there. Before the worker commits, one plain transaction of the
// store applies what the batch has collected and moves the watermarks: for each lane into the worker, up to where its events
// have taken effect there. A replacement reads the watermarks and leaves out what they cover. So a death on either side of
// either commit, or a COMMIT whose answer was lost, neither loses an effect nor repeats one.
//
// The store knows its writer by name, stage and replica, with an epoch that every new process raises and every
// transaction checks: a writer that was stopped, or lives on elsewhere, while another took over is refused, and a later
// life of its run that has taken over is never taken over from. A store
// that knows less than was committed here (a restored backup, another file, a standby that had not everything) is an
// Error: what it lacks would be missing for ever. Two pipelines of one name that share a store take over from each
// other for ever: give one of them another name in the store's options.
//
//     class Book {
//      public:
//       Book(sluice::Worker& worker, const sluice::SqliteOptions& database)
//           : sink_{worker, database}, insert_{sink_.prepare("INSERT INTO payment VALUES (?1, ?2)")} {}
//       void operator()(const Payment& payment) { sink_.add(insert_, payment.number, payment.cents); }
//      private:
//       sluice::TransactionSink<sluice::SqliteStore> sink_;
//       sluice::Statement insert_;
//     };
//
// A handler has one sink, and takes single events: two stores cannot refuse an event together, and a store knows no spans.
// What is to be in two stores is made by two stages. What the handler decides on must be its event and its recoverable state; what it reads in the store may be of before or
// after this event's effects. docs/guide/connect.md shows how to write a store of one's own.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sluice/error.hpp>
#include <sluice/worker.hpp>

namespace sluice {

// Who writes into a store.
struct SinkOwner {
  std::string name;  // Of the pipeline, unless the store's options say otherwise.
  std::string stage;
  unsigned replica = 0;
  unsigned replicas = 1;
  std::uint64_t origin = 0;  // EventId::origin of the events of its lane 0.
  std::uint64_t life = 0;    // Worker::life(): of two starts of one run the later one has the higher number.
};

// The events of a lane (EventId::origin) up to this position, which is not among them, have taken effect in the store.
struct Watermark {
  std::uint64_t origin = 0;
  std::uint64_t end = 0;

  friend bool operator==(const Watermark&, const Watermark&) = default;
};

// A watermark that a batch moves. A store that has another one than `from` was put back meanwhile.
struct WatermarkMove {
  std::uint64_t origin = 0;
  std::uint64_t end = 0;   // Where it is to be,
  std::uint64_t from = 0;  // and where this writer has left it: 0, if it has none yet.
};

// What a store answers to a writer that begins.
struct SinkClaim {
  std::uint64_t epoch = 0;
  std::vector<Watermark> watermarks;  // Of all lanes of the owner in this run.
};

// What an event is to do in a store.
template <class Effect>
struct PendingEffect {
  EventId event;
  Effect effect;
};

// One transaction.
template <class Effect>
struct SinkBatch {
  const SinkOwner& owner;
  std::uint64_t epoch;
  std::span<const PendingEffect<Effect>> effects;  // In the order in which they were added.
  std::span<const WatermarkMove> watermarks;
};

// What TransactionSink asks of a store. Made in the worker, after its fork; used by its one thread.
//   name_or(pipeline)  the owner's name;
//   call_limit()       how long a call below may take before the watchdog ends the worker;
//   claim(owner)       waits for a transaction of a predecessor that is still under way, raises the owner's epoch by one,
//                      also that of replicas of its stage from `replicas` on, and reads its watermarks, all in one transaction;
//                      an owner that has written here, and from which another run took over since, is an Error: its host was stopped
//                      for so long that its connections are gone; so is an owner of a run of which a later life has claimed (a
//                      checkpoint that was restored elsewhere): it never takes its place back. A claim of a process that died may come to the store after
//                      that of its successor, and must not undo it: where calls travel, the epoch is raised only if it is
//                      still the one that the caller has read before;
//   apply(batch)       all of it in one transaction, or nothing; with another epoch in the store than the batch's, nothing, and
//                      nothing where a watermark is not where it was left: then store_went_back() (or the store cannot go back).
// Both throw Unavailable when the store is away, does not answer, or may have committed and did not say so; Refused with the
// events whose effects it refuses; Error for what only a person can mend: another epoch, a table that is missing.
// After Unavailable or Error a writer begins anew, with a claim.
template <class S>
concept TransactionStore = requires(S store, const SinkOwner& owner, const std::string& pipeline,
                                    const SinkBatch<typename S::Effect>& batch) {
  { store.name_or(pipeline) } -> std::convertible_to<std::string>;
  { store.call_limit() } -> std::convertible_to<std::chrono::nanoseconds>;
  { store.claim(owner) } -> std::same_as<SinkClaim>;
  { store.apply(batch) } -> std::same_as<void>;
};

// The Error of a store that knows less of its owner than the pipeline has committed.
[[noreturn]] void store_went_back(const SinkOwner& owner);

namespace detail {

// The one sink of a handler, which takes single events. Throws Error for a second: an event that its store refuses would
// have had its effect in the first one's, and have it again when its dead letter is retried. That the handler takes spans
// is found out once it is made: the worker does not start then.
class OnlySink {
 public:
  OnlySink(const Worker& worker, const SinkOwner& owner);
  ~OnlySink();
  OnlySink(const OnlySink&) = delete;
  OnlySink& operator=(const OnlySink&) = delete;

 private:
  const Worker* worker_;
};

// Throws Error if no event is in the handler.
void refuse_effect_without_event(const Worker& worker, const SinkOwner& owner);

// How far the watermarks of an owner have come, all lanes together. Each only moves up, and so does this.
struct WatermarkSum {
  std::uint64_t high = 0;
  std::uint64_t low = 0;  // Below 2^32.

  void add(std::uint64_t end) noexcept {
    low += end & 0xffff'ffffU;
    high += (end >> 32U) + (low >> 32U);
    low &= 0xffff'ffffU;
  }
  bool is_below(const WatermarkSum& other) const noexcept {
    return high < other.high || (high == other.high && low < other.low);
  }
};

}  // namespace detail

template <TransactionStore Store>
class TransactionSink {
 public:
  // In the handler's constructor. `args` make the store. Throws what the store throws.
  template <class... Args>
  explicit TransactionSink(Worker& worker, Args&&... args)
      : worker_{worker},
        kept_{worker.state<detail::WatermarkSum>("watermarks of the sink")},
        store_{std::forward<Args>(args)...} {
    constexpr std::uint64_t kLanes = (std::uint64_t{1} << EventId::kLaneBits) - 1;
    owner_ = {store_.name_or(worker.pipeline()),  worker.stage(), worker.replica(), worker.replicas(),
              worker.event_id().origin & ~kLanes, worker.life()};
    only_.emplace(worker, owner_);
    const auto call = worker_.outside(store_.call_limit());
    SinkClaim claim = store_.claim(owner_);
    epoch_ = claim.epoch;
    // Every run_inline gives the same ids: it has neither predecessors nor watermarks.
    if (worker.run() != 0) {
      for (const Watermark& mark : claim.watermarks)
        done_[mark.origin] = mark.end;
      refuse_a_store_that_went_back();
    }
    worker.before_commit([this](std::span<const Covered> covered) { apply(covered); });
  }
  TransactionSink(const TransactionSink&) = delete;
  TransactionSink& operator=(const TransactionSink&) = delete;

  // The event in the handler is to have this effect, made from `args`. Does nothing when an earlier attempt at the event has
  // had it. The last act of a handler for its event, or at least nothing that may throw comes after it. Throws Error where no
  // event is in the handler: in its constructor, in an action of when_idle().
  template <class... Args>
  requires std::constructible_from<typename Store::Effect, Args...>
  void add(Args&&... args) {
    if (effects_.empty()) detail::refuse_effect_without_event(worker_, owner_);
    const EventId& event = worker_.event_id();
    if (!has(event)) effects_.push_back({event, typename Store::Effect(std::forward<Args>(args)...)});
  }
  // Whether an event of this worker has taken effect in the store.
  bool has(const EventId& event) const {
    const auto mark = done_.find(event.origin);
    return mark != done_.end() && event.position < mark->second;
  }

  // The store's prepare(), which may have to ask the other side, as a call outside. In the handler's constructor.
  template <class... Args>
  auto prepare(Args&&... args) requires requires(Store& store) {
    store.prepare(std::forward<Args>(args)...);
  }
  {
    const auto call = worker_.outside(store_.call_limit());
    return store_.prepare(std::forward<Args>(args)...);
  }

  Store& store() noexcept { return store_; }

 private:
  detail::WatermarkSum sum() const noexcept {
    detail::WatermarkSum sum;
    for (const auto& [origin, end] : done_)
      sum.add(end);
    return sum;
  }
  // What was committed here was applied there before. To go on behind it would lose all between.
  void refuse_a_store_that_went_back() const {
    if (sum().is_below(*kept_)) store_went_back(owner_);
  }

  void apply(std::span<const Covered> covered) {
    // What has no effect needs no watermark: done again, it has none again.
    if (effects_.empty()) return;
    moved_.clear();
    for (const Covered& lane : covered) {
      // Never back: what is done again may come in smaller batches than before.
      const auto mark = done_.find(lane.first.origin);
      const std::uint64_t from = mark == done_.end() ? 0 : mark->second;
      if (lane.end > from && worker_.run() != 0) moved_.push_back({lane.first.origin, lane.end, from});
    }
    {
      const auto call = worker_.outside(store_.call_limit());
      store_.apply({owner_, epoch_, effects_, moved_});
    }
    for (const WatermarkMove& mark : moved_)
      done_[mark.origin] = mark.end;
    if (!moved_.empty()) kept_.edit() = sum();
    effects_.clear();
  }

  Worker& worker_;
  Recoverable<detail::WatermarkSum> kept_;
  Store store_;
  SinkOwner owner_;
  std::optional<detail::OnlySink> only_;
  std::uint64_t epoch_ = 0;
  std::map<std::uint64_t, std::uint64_t> done_;  // The watermark of each lane.
  std::vector<PendingEffect<typename Store::Effect>> effects_;
  std::vector<WatermarkMove> moved_;
};

}  // namespace sluice
