// SPDX-License-Identifier: Apache-2.0
// OutputPort: all lanes that one stage's worker, or one inlet of the host, produces. What is pushed,
// published, rung for and ended goes through here, and so does the wait for room.
//
// Used by one thread: the worker's, or the one that uses the inlet. What is pushed can be taken back until it
// is recorded in a commit (or published, by a host that has none).
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <new>
#include <span>
#include <vector>

#include <sluice/detail/full_policy.hpp>
#include <sluice/detail/index.hpp>
#include <sluice/detail/route.hpp>
#include <sluice/detail/wire.hpp>
#include <sluice/event.hpp>
#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/ipc/lane.hpp>

namespace sluice::detail {

class Wiring;
struct LaneStamps;

// Which events of a lane are stamped with the time at which they are published: latency.sample.
struct Stamping {
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  LaneStamps* stamps = nullptr;    // nullptr: none is.
  std::uint64_t event_bytes = 0;   // 0: records.
  std::uint64_t least_bytes = 0;   // From one to the next, at least,
  std::uint64_t least_events = 0;  // and so many events that the port has pushed, for records.
  std::uint64_t due_at = kNever;   // The next one comes at this position or behind it,
  std::uint64_t due_events = 0;    // and when the port has pushed so many events.
  std::size_t turn = 0;
  bool begins = false;  // What it carries comes from a source or the host.
  // One that was made of a timed event is stamped at this position or behind it, ahead of its turn.
  std::uint64_t free_at = 0;
  // The next one to be stamped, and when what it comes from was published; 0: there is none.
  std::uint64_t made_at = 0;
  std::int64_t born_ns = 0;
};

// How many events lie between two positions of a lane whose events all have the same length. `bytes`: that length; 0: the lane
// has records, and whoever pushes them counts. What divides by a factor of 2 and an odd number without a rest is shifted, and
// multiplied with the inverse of the odd number modulo 2^64.
class EventCount {
 public:
  constexpr EventCount() = default;
  constexpr explicit EventCount(std::uint64_t bytes) noexcept {
    if (bytes == 0) return;
    shift_ = static_cast<unsigned>(std::countr_zero(bytes));
    const std::uint64_t odd = bytes >> shift_;
    // Each step doubles the number of bits that are right: 3 at first, as odd * odd is 1 modulo 8.
    inverse_ = odd;
    for (int bits = 3; bits < 64; bits *= 2)
      inverse_ *= 2 - odd * inverse_;
  }
  constexpr std::uint64_t in(std::uint64_t bytes) const noexcept { return (bytes >> shift_) * inverse_; }

 private:
  std::uint64_t inverse_ = 0;
  unsigned shift_ = 0;
};

// The producing end of one lane, with what its owner needs around it.
struct OutLane {
  ipc::LaneProducer lane;
  const std::uint64_t* event = nullptr;  // The number of the event at hand.
  bool touched = false;
  bool behind = false;     // Its consumer was given the chance to make room, and did not take it.
  std::uint64_t word = 0;  // Of the lane's tail in the region's cursor area; ended is the next.
  const ipc::Control* consumer = nullptr;
  const ipc::Doorbell* bell = nullptr;
  FullPolicy policy = FullPolicy::block;
  NodeIndex node{};  // The stage that consumes it.
  LaneIndex id{};
  EventCount count{};
  // Records that are not published, with those of the event at hand and without them.
  std::uint64_t records = 0;
  std::uint64_t records_before = 0;
  // Of its consumer, if that is a worker: not 0 once it is shed.
  const std::atomic<std::uint32_t>* shed = nullptr;
  Stamping stamping{};

  // relaxed: seen late, it costs a look more.
  bool is_shed() const noexcept { return shed != nullptr && shed->load(std::memory_order_relaxed) != 0; }
};

// All lanes of one connection between two stages: one for each worker of the consuming stage.
struct OutEdge {
  Route route;
  std::vector<OutLane*> lanes;
  std::size_t turn = 0;  // The lane that is next; if there are any.
};
// All connections of one output of a handler: each of them carries what is pushed to it.
using OutEdges = std::vector<OutEdge>;

// Why an event was not written into a lane.
enum class Lost {
  dropped,   // The lane is full and its policy is drop_newest.
  refused,   // The same with `fail`: an Error follows.
  given_up,  // Producer::gives_up() said so.
  shed,      // Its consumer is shed.
  too_late,  // Producer::wait_for_room() waits no longer.
};

// What a port asks of the process that produces. Called on the slow path only, once a lane is full.
class Producer {
 public:
  virtual ~Producer() = default;
  // No process is left that would make room in `lane`.
  virtual bool gives_up(const OutLane& lane) const noexcept = 0;
  virtual void lost(Lost why) noexcept = 0;
  // Publishes what was done before the event at hand, so that the stages behind can make room.
  virtual void publish_before_event() = 0;
  // Returns once `ready`; false when this is not to be waited for any longer.
  virtual bool wait_for_room(OutLane& lane, const std::function<bool()>& ready) = 0;
  // Returns once `ready`, and after `limit` in any case.
  virtual void wait_briefly(const std::function<bool()>& ready, std::chrono::nanoseconds limit) = 0;
  // What makes more than a lane holds, for a message, and what else to do about it.
  virtual const char* too_much() const noexcept = 0;
  virtual const char* remedy() const noexcept = 0;
};

class OutputPort {
 public:
  // The lanes of `process` that carry what `node` pushes. `turn`: where round-robin begins. `event`: the number of the
  // event at hand.
  OutputPort(const Wiring& wiring, ProcessIndex process, NodeIndex node, std::size_t turn,
             const std::uint64_t& event, Producer& producer);
  OutputPort(const OutputPort&) = delete;
  OutputPort& operator=(const OutputPort&) = delete;

  OutEdges& output(std::size_t index) { return outputs_[index]; }

  // Of the lanes that carry this output; the largest number when there are none.
  static std::uint64_t smallest_lane_bytes(const OutEdges& edges) noexcept;

  // Writes the event into a lane of each edge, or into all of them, as the routes say. Blocks while a lane is
  // full and its policy is `block`. Throws Error for an event that can never fit, for a full lane whose
  // policy is `fail`, and for one whose consumer's cursor is out of range; no lane has it then.
  // Not inlined: the way to one lane is, and stays in registers.
  template <Event T>
  [[gnu::noinline]] void push(OutEdges& edges, const T& event) {
    if (edges.size() == 1 && edges.front().route.kind != RouteKind::broadcast) {
      write(*pick(edges.front(), &event), event);
    } else {
      push_to_several(edges, event);
    }
  }

  // The same for an output that has one lane: only_lane().
  template <Event T>
  void push(OutLane& lane, const T& event) {
    write(lane, event);
  }
  // The event that `fill` makes of T{}, in its place in the lane. False where no room is known for it, and nothing was called.
  template <Event T, class Fill>
  bool push_made(OutLane& out, Fill& fill) {
    out.lane.enter_event(*out.event);
    if (out.lane.room(sizeof(T)) < sizeof(T)) return false;
    const std::uint64_t next = out.lane.next();
    fill(*::new (out.lane.place_for(sizeof(T))) T{});
    if (out.lane.next() != next) refuse_push_within(out);
    out.lane.advance(sizeof(T));
    if (!out.touched) touch(out);
    return true;
  }
  // The lane of this output's next event where no look at the event chooses it; nullptr: ask pick(), or it goes to several.
  static OutLane* lane_of_any(OutEdges& edges);
  // As many of the events as there is room for in the lanes that they go to, without waiting; how many, and 0 where
  // each of them has to be asked for its lane. What push() does for each of them, and quicker.
  template <Event T>
  std::size_t push_run(OutEdges& edges, std::span<const T> events) {
    if (edges.size() != 1) return 0;
    OutEdge& edge = edges.front();
    const std::size_t lanes = edge.lanes.size();
    if (lanes == 1 || edge.route.kind == RouteKind::broadcast) return write_run<T>(edge, events, 1);
    if (edge.route.kind != RouteKind::round_robin) return 0;
    for (const OutLane* lane : edge.lanes) {
      if (lane->is_shed()) return 0;
    }
    return write_run<T>(edge, events, lanes);
  }
  // The one lane of this output; nullptr if it has none, or several.
  static OutLane* only_lane(const OutEdges& edges) noexcept {
    return edges.size() == 1 && edges.front().lanes.size() == 1 ? edges.front().lanes.front() : nullptr;
  }

  // A sink's: nothing is waited for.
  bool leads_nowhere() const noexcept { return lanes_.empty(); }
  bool touched() const noexcept { return touched_count_ != 0; }
  // What the event at hand has pushed comes from what a source or the host has published then: one of it in each lane is
  // stamped so, if the lane has room for a stamp.
  void hand_on(std::int64_t born_ns) noexcept;
  // The event at hand has pushed something; those before it have, since the last commit.
  bool has_pushed() const noexcept;
  bool had_pushed() const noexcept;
  // Events that were pushed and published since the pipeline began; what a predecessor knew of them comes first.
  std::uint64_t published() const noexcept { return published_; }
  void resume_after(std::uint64_t published) noexcept { published_ = published; }
  // Forgets what the event at hand has pushed.
  void take_event_back() noexcept;
  // Forgets everything that was not published.
  void forget() noexcept;
  // The same of a worker: everything since its last commit.
  void take_all_back() noexcept;
  // The first lane of which less than half is free, nullptr if there is none, or no reason to wait until it is.
  OutLane* without_room() noexcept;
  // Lanes with another policy than `block`: what they have no room for is lost, or an error.
  bool loses() const noexcept;
  // Nothing follows on any lane.
  void end() noexcept;
  // A lane was ended in a former life, or in this one.
  bool ended() const noexcept;

  // The commonest commit takes along what one lane has got, as a whole, and nothing is timed or ends. For who stores it himself:
  // whether this is one, if no lane ends; the lane, nullptr if there is none; how far it goes then, which
  // counts as published; and that it is done.
  bool has_touched_one_at_most() const noexcept { return touched_count_ <= 1; }
  OutLane* first_touched() const noexcept { return touched_count_ == 0 ? nullptr : touched_.front(); }
  std::uint64_t settle_all(OutLane& out) noexcept {
    const std::uint64_t tail = out.lane.next();
    published_ += out.count.in(tail - out.lane.tail()) + out.records;
    out.records = out.records_before = 0;
    if (out.stamping.due_at < tail) [[unlikely]]
      stamp(out, tail);
    return tail;
  }
  void forget_touched(OutLane& only) noexcept {
    only.touched = false;
    touched_count_ = 0;
  }

  // Which words the next commit moves; `whole`: with what the event at hand has pushed.
  void record(ipc::Commit& commit, bool whole) noexcept;
  // The same for a process that has nothing to commit: at once.
  void publish(bool whole) noexcept;
  // After either: wakes the consumers that sleep; how many.
  std::uint64_t ring(ipc::Published& published, bool whole) noexcept;
  // Wakes the consumer of a lane that was published by itself, if it sleeps.
  static void ring(OutLane& lane) noexcept {
    ipc::Published published;
    if (published.sleeps(*lane.consumer)) [[unlikely]]
      lane.bell->ring();
  }
  // Wakes all of them: a predecessor may have died between publishing and ringing.
  void ring_all() const noexcept;

 private:
  // Into all of them, or, where one throws, into none: a handler may catch that, and push something else, or the same once more.
  template <Event T>
  void push_to_several(OutEdges& edges, const T& event) {
    written_count_ = 0;
    try {
      for (OutEdge& edge : edges) {
        if (edge.route.kind == RouteKind::broadcast) {
          for (OutLane* lane : edge.lanes)
            write_one_of_several(*lane, event);
        } else {
          write_one_of_several(*pick(edge, &event), event);
        }
      }
    } catch (...) {
      for (OutLane* lane : std::span{written_.data(), written_count_}) {
        lane->lane.take_back_last(Wire<T>::stride(event));
        if constexpr (is_record<T>) --lane->records;
      }
      throw;
    }
  }
  template <Event T>
  void write_one_of_several(OutLane& out, const T& event) {
    const std::uint64_t before = out.lane.next();
    write(out, event);
    // One that drops it has it not.
    if (out.lane.next() != before) written_[written_count_++] = &out;  // There is a place for every lane.
  }
  template <Event T>
  void write(OutLane& out, const T& event) {
    const bool first = out.lane.enter_event(*out.event);
    if constexpr (is_record<T>) {
      if (first) out.records_before = out.records;
    }
    const std::uint64_t bytes = Wire<T>::stride(event);
    if (!out.lane.knows_room(bytes) && !find_room(out, bytes)) [[unlikely]]
      return;
    Wire<T>::write(out.lane.place_for(bytes), event);
    out.lane.advance(bytes);
    if constexpr (is_record<T>) ++out.records;
    if (!out.touched) [[unlikely]]
      touch(out);
  }
  // Deals the events out in turn, `step` lanes in a round, or, with 1, gives each lane all of them.
  template <Event T>
  std::size_t write_run(OutEdge& edge, std::span<const T> events, std::size_t step) {
    std::size_t each = events.size() / step;
    for (OutLane* lane : edge.lanes)
      each = std::min<std::size_t>(each, lane->lane.room(each * sizeof(T)) / sizeof(T));
    if (each == 0) return 0;
    const T* first = events.data();
    for (std::size_t i = 0; i < edge.lanes.size(); ++i) {
      write_run(step == 1 ? *edge.lanes[i] : *take_turn(edge), first, step, each);
      first += step == 1 ? 0 : 1;
    }
    return each * step;
  }
  // There is room for them.
  template <Event T>
  void write_run(OutLane& out, const T* event, std::size_t step, std::size_t count) {
    out.lane.enter_event(*out.event);
    std::byte* at = out.lane.reserve(count * sizeof(T));
    if (step == 1) {
      std::memcpy(at, event, count * sizeof(T));
    } else {
      for (std::size_t i = 0; i < count; ++i)
        std::memcpy(at + i * sizeof(T), event + i * step, sizeof(T));
    }
    out.lane.advance(count * sizeof(T));
    if (!out.touched) touch(out);
  }
  void touch(OutLane& lane) noexcept {
    lane.touched = true;
    touched_[touched_count_++] = &lane;  // There is a place for every lane.
  }
  std::span<OutLane* const> touched_lanes() const noexcept { return {touched_.data(), touched_count_}; }

  // Looks whether there is room for `bytes` that this side does not know of yet.
  [[gnu::noinline]] bool find_room(OutLane& lane, std::uint64_t bytes) {
    return lane.lane.reserve(bytes) != nullptr || make_room(lane, bytes) != nullptr;
  }
  // The slow path: `lane` has no room for `bytes`. Waits, drops or throws, as its policy says; nullptr: not
  // written.
  std::byte* make_room(OutLane& lane, std::uint64_t bytes);
  std::byte* await_room(OutLane& lane, std::uint64_t bytes);
  std::byte* hand_over(OutLane& lane, std::uint64_t bytes);
  [[noreturn]] void refuse_bytes(const OutLane& lane, std::uint64_t bytes) const;
  [[noreturn]] void refuse_event(const OutLane& lane) const;
  [[noreturn]] void refuse_push_within(const OutLane& lane) const;
  const std::string& name_of(const OutLane& lane) const noexcept;

  // What is about to be published of a lane: up to where. It is counted, and an event of it stamped, if one is due.
  std::uint64_t settle(OutLane& out, bool whole) noexcept;
  void stamp(OutLane& out, std::uint64_t tail) const noexcept;
  static void set_stamp(Stamping& stamping, std::uint64_t position, std::int64_t born_ns) noexcept;

  static OutLane* pick(OutEdge& edge, const void* event) {
    const std::size_t count = edge.lanes.size();
    if (count == 1) return edge.lanes.front();
    switch (edge.route.kind) {
      case RouteKind::by_key: {
        // The high bits choose: a multiplication instead of a division.
        const std::uint64_t hash = edge.route.hash(edge.route.key.get(), event);
        return edge.lanes[static_cast<std::size_t>((hash >> 32) * count >> 32)];
      }
      case RouteKind::least_loaded:
        return least_loaded(edge);
      default:
        return next_in_turn(edge);
    }
  }
  static OutLane* take_turn(OutEdge& edge) noexcept {
    OutLane* lane = edge.lanes[edge.turn];
    edge.turn = edge.turn + 1 < edge.lanes.size() ? edge.turn + 1 : 0;
    return lane;
  }
  static OutLane* next_in_turn(OutEdge& edge) noexcept {
    OutLane* lane = take_turn(edge);
    for (std::size_t i = 1; i < edge.lanes.size() && lane->is_shed(); ++i)
      lane = take_turn(edge);
    return lane;
  }
  static OutLane* least_loaded(OutEdge& edge);

  const Wiring& wiring_;
  const std::uint64_t& event_;
  Producer& producer_;
  std::deque<OutLane> lanes_;
  std::vector<OutEdges> outputs_;  // One for each output of the handler.
  std::vector<OutLane*> touched_;  // The first ones of them,
  std::size_t touched_count_ = 0;  // so many.
  std::vector<OutLane*> written_;  // The same of those that have got the event that is pushed.
  std::size_t written_count_ = 0;
  std::uint64_t published_ = 0;
};

}  // namespace sluice::detail
