// SPDX-License-Identifier: Apache-2.0
#include "sluice/host_ends.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "host/host.hpp"
#include "host/host_commit.hpp"

namespace sluice {

using namespace detail;

namespace {

// How long a wait goes on without a look at whether the pipeline is still there.
constexpr std::chrono::milliseconds kLook{50};

void ring_if_asleep(ipc::Published& published, const ipc::Control& peer, const ipc::Doorbell& bell) {
  if (published.sleeps(peer)) bell.ring();
}

}  // namespace

HostInlet::HostInlet(Host& host, std::size_t node, Waiter& waiter)
    : host_{host}, node_{node}, waiter_{waiter} {
  const Wiring& wiring = host.wiring();
  if (wiring.segment().named()) {
    commit_ = std::make_unique<HostCommit>(wiring, NodeIndex{node});
    position_ = commit_->count();
  }
  const ProcessLayout& layout = wiring.host().layout();
  std::deque<OutLane> all = output_lanes(wiring, kHostProcess);
  for (std::size_t e = 0; e < wiring.graph().edges.size(); ++e) {
    const Edge& edge = wiring.graph().edges[e];
    if (edge.from != node) continue;
    OutEdge out{edge.route, {}, 0};
    for (std::size_t i = 0; i < layout.lanes_out.size(); ++i) {
      if (wiring.layout().lanes[layout.lanes_out[i]].edge != e) continue;
      lanes_.push_back(all[i]);
      out.lanes.push_back(&lanes_.back());
      closed_ = closed_ || all[i].lane.ends();
    }
    port_.connect(std::move(out));
  }
  touched_.reserve(lanes_.size());
}

HostInlet::~HostInlet() = default;

bool HostInlet::pipeline_over() const noexcept {
  return host_.over();
}

void HostInlet::take_back() noexcept {
  for (OutLane* out : touched_) {
    out->lane.take_back(event_);
    out->touched = false;
  }
  touched_.clear();
}

std::byte* HostInlet::make_room(OutLane& out, std::uint64_t bytes) {
  if (outcome_ == PushResult::ended) return nullptr;
  const std::string& stage = host_.wiring().graph().nodes[out.node].name;
  if (bytes > out.lane.capacity_bytes()) {
    throw Error{{"push a record to", stage,
                 fmt::format("it takes {} of a lane of {}", format_bytes(bytes),
                             format_bytes(out.lane.capacity_bytes())),
                 fmt::format("raise lane.bytes, for instance --set stage.{}.lane.bytes={}", stage,
                             format_bytes(std::bit_ceil(bytes)))}};
  }
  if (out.policy != FullPolicy::block) {
    host_.wiring().host().counters().dropped.add();
    outcome_ = PushResult::dropped;
    if (out.policy == FullPolicy::drop_newest) return nullptr;
    throw Error{{"push an event to", stage, "the lane is full and lane.full is `fail`",
                 "give the stage more workers or its lanes more room"}};
  }
  std::byte* room = nullptr;
  while ((room = out.lane.reserve(bytes)) == nullptr) {
    if (out.lane.corrupt()) refuse(stage);
    if (host_.over() || host_.abandoned()) {
      outcome_ = PushResult::ended;
      return nullptr;
    }
    if (out.is_shed()) {
      host_.wiring().host().counters().shed.add();
      outcome_ = PushResult::dropped;
      return nullptr;
    }
    waiter_.wait_until(
        [&] { return out.lane.reserve(bytes) != nullptr || out.lane.corrupt() || out.is_shed(); }, kLook);
  }
  return room;
}

void HostInlet::refuse(const std::string& stage) const {
  throw Error{{"write the lane to", stage, "its consumer's cursor cannot be", "start the pipeline anew"}};
}

void HostInlet::publish() {
  if (commit_ == nullptr) {
    for (OutLane* out : touched_)
      out->lane.publish();
  } else {
    for (OutLane* out : touched_) {
      commit_->move(out->word, out->lane.next());
      if (out->lane.ends()) commit_->move(out->word + 1, ipc::kEnded);
    }
    commit_->commit(position_);
  }
  ipc::Published published;
  for (OutLane* out : touched_) {
    ring_if_asleep(published, *out->consumer, *out->bell);
    out->touched = false;
  }
  touched_.clear();
}

void HostInlet::close() {
  if (closed_) return;
  closed_ = true;
  for (OutLane& out : lanes_) {
    out.lane.end();
    if (!out.touched) touch(out);
  }
  publish();
}

HostOutlet::HostOutlet(Host& host, std::size_t node, Waiter& waiter)
    : host_{host},
      node_{node},
      waiter_{waiter},
      commit_{std::make_unique<HostCommit>(host.wiring(), NodeIndex{node})},
      position_{commit_->count()} {
  const Wiring& wiring = host.wiring();
  const ProcessLayout& layout = wiring.host().layout();
  const std::vector<InLane> all = input_lanes(wiring, kHostProcess);
  for (std::size_t i = 0; i < layout.lanes_in.size(); ++i) {
    const Edge& edge = wiring.edge(wiring.layout().lanes[layout.lanes_in[i]]);
    if (edge.to != node) continue;
    type_ = edge.type;
    lanes_.push_back(all[i]);
  }
}

HostOutlet::~HostOutlet() = default;
HostOutlet::HostOutlet(HostOutlet&&) noexcept = default;

std::size_t HostOutlet::poll(const std::function<bool(std::span<const std::byte>)>& handle,
                             std::size_t limit) {
  std::size_t handled = 0;
  for (InLane& in : lanes_) {
    while (handled < limit && in.lane.readable() != 0) {
      std::uint64_t stride = type_.bytes;
      std::span<const std::byte> payload{in.lane.data(), type_.bytes};
      if (type_.record) {
        payload = ipc::peek_record(in.lane);
        stride = ipc::record_stride(payload.size());
      } else if (in.lane.readable() < stride) {
        in.lane.quarantine();
      }
      if (!in.lane.corrupt() && !handle(payload)) in.lane.quarantine();
      if (in.lane.corrupt()) break;
      in.lane.advance(stride);
      in.touched = true;
      ++position_;
      ++handled;
    }
    in.ended = in.ended || (in.lane.readable() == 0 && in.lane.at_end()) || in.producer_shed();
    if (in.lane.corrupt()) {
      publish();
      refuse(in);
    }
  }
  publish();
  return handled;
}

void HostOutlet::refuse(const InLane& in) const {
  const Wiring& wiring = host_.wiring();
  throw Error{{"read the lane of the outlet '" + wiring.graph().nodes[node_].name + "' from",
               wiring.name(in.from), "its cursors or lengths cannot be", "start the pipeline anew"}};
}

void HostOutlet::publish() {
  if (std::none_of(lanes_.begin(), lanes_.end(), [](const InLane& in) { return in.touched; })) return;
  for (const InLane& in : lanes_) {
    if (in.touched) commit_->move(in.word, in.lane.next());
  }
  commit_->commit(position_);
  ipc::Published published;
  for (InLane& in : lanes_) {
    if (in.touched) ring_if_asleep(published, *in.producer, *in.bell);
    in.touched = false;
  }
}

bool HostOutlet::wait(std::chrono::nanoseconds limit) {
  const auto ready = [this] {
    return std::any_of(lanes_.begin(), lanes_.end(), [](InLane& in) {
      return !in.ended && (in.lane.readable() != 0 || in.lane.at_end() || in.lane.corrupt());
    });
  };
  const auto until = monotonic_now() + limit;
  while (!ready() && !ended()) {
    const auto left = until - monotonic_now();
    if (left.count() <= 0) return ready();
    waiter_.wait_until(ready, std::min<std::chrono::nanoseconds>(left, kLook));
  }
  return true;
}

bool HostOutlet::ended() {
  poll([](std::span<const std::byte>) { return true; }, 0);
  if (std::all_of(lanes_.begin(), lanes_.end(), [](const InLane& in) { return in.ended; })) return true;
  // Asked before the lanes are looked at: nobody publishes any more once it is over.
  if (!host_.over() && !host_.abandoned()) return false;
  return std::all_of(lanes_.begin(), lanes_.end(), [](InLane& in) { return in.lane.readable() == 0; });
}

}  // namespace sluice
