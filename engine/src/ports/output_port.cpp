// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/output_port.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "layout/wiring.hpp"
#include "state/oversize.hpp"

namespace sluice::detail {
namespace {

// Neither in step with batches nor at random: the distance to the next one is up to half longer than asked for.
std::uint64_t next_after(const Stamping& stamping, std::uint64_t position) noexcept {
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15U;
  return position + stamping.least_bytes + ((position + 1) * kGolden >> 32) % (stamping.least_bytes / 2 + 1);
}

// A lane holds not more stamps than there is room for: no stamp is written over before the consumer has come to it.
Stamping stamping_for(const Wiring& wiring, LaneIndex id, std::uint64_t tail, std::size_t lanes) {
  const LaneLayout& lane = wiring.layout().lanes[id];
  const Edge& edge = wiring.edge(lane);
  const std::uint64_t sample = wiring.settings(edge.to).latency_sample;
  Stamping stamping;
  // An outlet's events are the host's.
  if (sample == 0 || wiring.node(edge.to).kind != NodeKind::stage) return stamping;
  stamping.stamps = &wiring.stamps(id);
  stamping.event_bytes = edge.type.record ? 0 : edge.type.bytes;
  stamping.least_bytes = std::max(lane.capacity_bytes / LaneStamps::kKept, sample * stamping.event_bytes);
  stamping.least_events = edge.type.record ? sample * lanes : 0;
  stamping.due_at = next_after(stamping, tail);
  stamping.begins = wiring.node(edge.from).kind != NodeKind::stage;
  stamping.free_at = tail;
  return stamping;
}

OutLane out_lane(const Wiring& wiring, LaneIndex id) {
  const LaneLayout& lane = wiring.layout().lanes[id];
  const NodeIndex to = wiring.edge(lane).to;
  OutLane out{ipc::LaneProducer{wiring.map_lane(id)}};
  out.word = lane.producer_word;
  const Sleeper consumer = wiring.consumer_of(lane);
  out.consumer = consumer.control;
  out.bell = consumer.bell;
  out.policy = wiring.settings(to).full;
  out.node = to;
  out.id = id;
  out.shed = wiring.shed_word(lane.consumer);
  out.count = EventCount{wiring.edge(lane).type.record ? 0 : wiring.edge(lane).type.bytes};
  out.stamping =
      stamping_for(wiring, id, out.lane.tail(), wiring.layout().processes[lane.producer].lanes_out.size());
  return out;
}

// An outlet has no settings of its own: its lanes are as large as those of all stages.
std::string lane_setting(const Wiring& wiring, const OutLane& out, std::string_view key) {
  const Node& to = wiring.node(NodeIndex{out.node});
  return to.kind == NodeKind::stage ? fmt::format("stage.{}.{}", to.name, key) : std::string{key};
}

}  // namespace

OutputPort::OutputPort(const Wiring& wiring, ProcessIndex process, NodeIndex node, std::size_t turn,
                       const std::uint64_t& event, Producer& producer)
    : wiring_{wiring}, event_{event}, producer_{producer}, outputs_(wiring.node(node).outputs.size()) {
  const Indexed<EdgeIndex, Edge>& edges = wiring.graph().edges;
  for (const EdgeIndex e : edges.indices()) {
    if (edges[e].from != node) continue;
    OutEdge out{edges[e].route, {}, 0};
    for (const LaneIndex id : wiring.layout().processes[process].lanes_out) {
      if (wiring.layout().lanes[id].edge != e) continue;
      lanes_.push_back(out_lane(wiring, id));
      lanes_.back().event = &event_;
      out.lanes.push_back(&lanes_.back());
    }
    if (!out.lanes.empty()) out.turn = turn % out.lanes.size();
    outputs_[edges[e].output].push_back(std::move(out));
  }
  touched_.resize(lanes_.size());
  written_.resize(lanes_.size());
}

std::uint64_t OutputPort::smallest_lane_bytes(const OutEdges& edges) noexcept {
  std::uint64_t smallest = ~std::uint64_t{0};
  for (const OutEdge& edge : edges) {
    for (const OutLane* out : edge.lanes)
      smallest = std::min(smallest, out->lane.capacity_bytes());
  }
  return smallest;
}

OutLane* OutputPort::least_loaded(OutEdge& edge) {
  const auto fill_of = [](OutLane& out) { return out.is_shed() ? ~std::uint64_t{0} : out.lane.fill_bytes(); };
  OutLane* best = edge.lanes.front();
  std::uint64_t best_fill = fill_of(*best);
  for (OutLane* lane : edge.lanes) {
    const std::uint64_t fill = fill_of(*lane);
    if (fill < best_fill) {
      best = lane;
      best_fill = fill;
    }
  }
  return best;
}

std::byte* OutputPort::make_room(OutLane& out, std::uint64_t bytes) {
  if (bytes > out.lane.capacity_bytes()) refuse_bytes(out, bytes);
  if (out.policy != FullPolicy::block) {
    if (std::byte* room = hand_over(out, bytes)) return room;
  }
  if (out.policy == FullPolicy::drop_newest) {
    producer_.lost(Lost::dropped);
    return nullptr;
  }
  if (producer_.gives_up(out)) {
    producer_.lost(Lost::given_up);
    return nullptr;
  }
  if (out.policy == FullPolicy::fail) {
    producer_.lost(Lost::refused);
    throw Error{{"push an event to", name_of(out), "the lane is full and lane.full is `fail`",
                 "give the stage more workers or its lanes more room"}};
  }
  return await_room(out, bytes);
}

// A lane that is full of what was not published is not full: its consumer could not take any of it. It is published,
// and the consumer, which may have slept, gets its chance. The lane is full if the consumer does not move then. One
// that has not is behind, and is given no other chance before it has taken all that there was.
std::byte* OutputPort::hand_over(OutLane& out, std::uint64_t bytes) {
  constexpr std::chrono::nanoseconds kWakes = std::chrono::milliseconds{100};
  constexpr std::chrono::nanoseconds kMoves = std::chrono::milliseconds{2};
  if (out.lane.before(event_) == out.lane.tail() || out.is_shed()) return nullptr;
  std::uint64_t head = out.lane.next() - out.lane.fill_bytes();
  const bool idle = head == out.lane.tail();
  if (idle) out.behind = false;
  producer_.publish_before_event();
  std::byte* room = nullptr;
  const auto ready = [&] {
    return (room = out.lane.reserve(bytes)) != nullptr || out.lane.corrupt() || out.is_shed() ||
           producer_.gives_up(out);
  };
  // With each turn the head is further, and it has no further to go than the lane is long.
  for (auto limit = idle ? kWakes : kMoves; !out.behind; limit = kMoves) {
    producer_.wait_briefly(ready, limit);
    if (ready()) return room;
    const std::uint64_t now = out.lane.next() - out.lane.fill_bytes();
    out.behind = now == head;
    head = now;
  }
  ready();
  return room;
}

std::byte* OutputPort::await_room(OutLane& out, std::uint64_t bytes) {
  std::byte* room = nullptr;
  if (!out.is_shed()) {
    producer_.publish_before_event();
    if (out.lane.next() - out.lane.before(event_) + bytes > out.lane.capacity_bytes()) refuse_event(out);
    const bool waited = producer_.wait_for_room(out, [&] {
      return (room = out.lane.reserve(bytes)) != nullptr || out.lane.corrupt() || out.is_shed() ||
             producer_.gives_up(out);
    });
    if (!waited) {
      producer_.lost(Lost::too_late);
      return nullptr;
    }
    if (out.lane.corrupt()) {
      throw Error{{"write the lane to", name_of(out), "its consumer's cursor is out of range",
                   "start the pipeline anew"}};
    }
  }
  if (room == nullptr) producer_.lost(out.is_shed() ? Lost::shed : Lost::given_up);
  return room;
}

OutLane* OutputPort::lane_of_any(OutEdges& edges) {
  if (edges.size() != 1) return nullptr;
  const RouteKind kind = edges.front().route.kind;
  const bool any = kind == RouteKind::round_robin || kind == RouteKind::least_loaded;
  return any ? pick(edges.front(), nullptr) : nullptr;
}

void OutputPort::refuse_bytes(const OutLane& out, std::uint64_t bytes) const {
  throw Oversize{{"push a record to", name_of(out),
                  fmt::format("it takes {} of a lane of {}", format_bytes(bytes),
                              format_bytes(out.lane.capacity_bytes())),
                  fmt::format("raise {}={}", lane_setting(wiring_, out, "lane.bytes"),
                              format_bytes(std::bit_ceil(bytes)))}};
}

void OutputPort::refuse_event(const OutLane& out) const {
  throw Oversize{{"push the events made for", name_of(out),
                  fmt::format("{} more than a lane of {} holds", producer_.too_much(),
                              format_bytes(out.lane.capacity_bytes())),
                  fmt::format("raise {} or {}; {}", lane_setting(wiring_, out, "lane.slots"),
                              lane_setting(wiring_, out, "lane.bytes"), producer_.remedy())}};
}

void OutputPort::refuse_push_within(const OutLane& out) const {
  throw Error{{"push an event to", name_of(out), "the function that makes it has pushed another one there",
               "push that before, or behind"}};
}

const std::string& OutputPort::name_of(const OutLane& out) const noexcept {
  return wiring_.node(out.node).name;
}

bool OutputPort::has_pushed() const noexcept {
  const std::span<OutLane* const> touched = touched_lanes();
  return std::any_of(touched.begin(), touched.end(),
                     [this](const OutLane* out) { return out->lane.next() != out->lane.before(event_); });
}

bool OutputPort::had_pushed() const noexcept {
  const std::span<OutLane* const> touched = touched_lanes();
  return std::any_of(touched.begin(), touched.end(),
                     [this](const OutLane* out) { return out->lane.before(event_) != out->lane.tail(); });
}

void OutputPort::take_event_back() noexcept {
  for (OutLane* out : touched_lanes()) {
    if (out->lane.has_entered(event_)) out->records = out->records_before;
    out->lane.take_back(event_);
  }
}

void OutputPort::forget() noexcept {
  take_event_back();
  for (OutLane* out : touched_lanes())
    out->touched = false;
  touched_count_ = 0;
}

void OutputPort::take_all_back() noexcept {
  for (OutLane* out : touched_lanes()) {
    out->lane.resume();
    out->records = out->records_before = 0;
    out->touched = false;
  }
  touched_count_ = 0;
}

OutLane* OutputPort::without_room() noexcept {
  const auto found = std::find_if(lanes_.begin(), lanes_.end(), [this](OutLane& out) {
    return out.policy == FullPolicy::block && out.lane.fill_bytes() > out.lane.capacity_bytes() / 2 &&
           !out.lane.corrupt() && !out.is_shed() && !producer_.gives_up(out);
  });
  return found == lanes_.end() ? nullptr : &*found;
}

bool OutputPort::loses() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [](const OutLane& out) { return out.policy != FullPolicy::block; });
}

void OutputPort::end() noexcept {
  for (OutLane& out : lanes_) {
    out.lane.end();
    if (!out.touched) touch(out);
  }
}

bool OutputPort::ended() const noexcept {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const OutLane& out) { return out.lane.ends(); });
}

void OutputPort::stamp(OutLane& out, std::uint64_t tail) const noexcept {
  Stamping& stamping = out.stamping;
  if (stamping.born_ns != 0) {
    // A commit without the event that it was made of: it is in the next one.
    if (stamping.made_at >= tail) return;
    set_stamp(stamping, stamping.made_at, std::exchange(stamping.born_ns, 0));
    // As long as such ones come the lane has no others: there would be no room for both.
    stamping.due_at = next_after(stamping, stamping.made_at) + stamping.least_bytes;
    stamping.due_events = published_ + stamping.least_events;
    return;
  }
  const std::uint64_t first = out.lane.tail();
  if (published_ < stamping.due_events || tail == first) return;
  std::uint64_t position = std::max(first, stamping.due_at);
  if (const std::uint64_t bytes = stamping.event_bytes; bytes != 0) {
    position -= position % bytes;
  } else {
    // Where a record begins is known of the first one, and of the first that the last event has made.
    const std::uint64_t last = out.lane.before(event_);
    position = stamping.turn % 2 == 0 || last >= tail ? first : last;
  }
  set_stamp(stamping, position, 0);
  stamping.due_at = next_after(stamping, position);
  stamping.due_events = published_ + stamping.least_events;
}

void OutputPort::set_stamp(Stamping& stamping, std::uint64_t position, std::int64_t born_ns) noexcept {
  const std::int64_t now_ns = monotonic_now().count();
  stamping.stamps->set(stamping.turn++, {position, now_ns, stamping.begins ? now_ns : born_ns});
  stamping.free_at = position + stamping.least_bytes;
}

void OutputPort::hand_on(std::int64_t born_ns) noexcept {
  for (OutLane* out : touched_lanes()) {
    Stamping& stamping = out->stamping;
    if (stamping.stamps == nullptr || stamping.born_ns != 0 || !out->lane.has_entered(event_)) continue;
    const std::uint64_t position = out->lane.before(event_);
    if (position == out->lane.next() || position < stamping.free_at) continue;
    stamping.made_at = position;
    stamping.born_ns = born_ns;
    stamping.due_at = std::min(stamping.due_at, position);
  }
}

std::uint64_t OutputPort::settle(OutLane& out, bool whole) noexcept {
  const std::uint64_t tail = whole ? out.lane.next() : out.lane.before(event_);
  const std::uint64_t records = whole || !out.lane.has_entered(event_) ? out.records : out.records_before;
  published_ += out.count.in(tail - out.lane.tail()) + records;
  out.records -= records;
  out.records_before = 0;
  if (out.stamping.due_at < tail) [[unlikely]]
    stamp(out, tail);
  return tail;
}

void OutputPort::record(ipc::Commit& commit, bool whole) noexcept {
  for (OutLane* out : touched_lanes()) {
    // The tail, then the word: lane.hpp says why.
    commit.move(out->word, settle(*out, whole));
    if (out->lane.ends()) commit.move(out->word + 1, ipc::kEnded);
  }
}

void OutputPort::publish(bool whole) noexcept {
  for (OutLane* out : touched_lanes()) {
    settle(*out, whole);
    if (whole) {
      out->lane.publish();
    } else {
      out->lane.publish_before(event_);
    }
  }
}

std::uint64_t OutputPort::ring(ipc::Published& published, bool whole) noexcept {
  std::uint64_t rings = 0;
  for (OutLane* out : touched_lanes()) {
    if (published.sleeps(*out->consumer)) [[unlikely]] {
      out->bell->ring();
      ++rings;
    }
    out->touched = !whole && out->lane.before(event_) != out->lane.next();
  }
  if (whole) {
    touched_count_ = 0;
  } else {
    const auto end = touched_.begin() + static_cast<std::ptrdiff_t>(touched_count_);
    const auto left = std::remove_if(touched_.begin(), end, [](const OutLane* out) { return !out->touched; });
    touched_count_ = static_cast<std::size_t>(left - touched_.begin());
  }
  return rings;
}

void OutputPort::ring_all() const noexcept {
  for (const OutLane& out : lanes_)
    out.bell->ring();
}

}  // namespace sluice::detail
