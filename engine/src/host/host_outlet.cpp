// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/host_outlet.hpp"

#include <algorithm>

#include <sluice/ipc/framing.hpp>

#include "host/host.hpp"
#include "host/host_commit.hpp"
#include "ports/input_port.hpp"
#include "ports/waiter.hpp"

namespace sluice::detail {

HostOutlet::HostOutlet(Host& host, NodeIndex node, Waiter& waiter)
    : host_{host},
      node_{node},
      waiter_{waiter},
      // Recovery comes first: the port reads the cursors.
      commit_{std::make_unique<HostCommit>(host.wiring(), node)},
      port_{std::make_unique<InputPort>(host.wiring(), kHostProcess, node)},
      position_{commit_->count()} {
  type_ = host.wiring().graph().edge_to(node).type;
}

HostOutlet::~HostOutlet() = default;
HostOutlet::HostOutlet(HostOutlet&&) noexcept = default;

std::size_t HostOutlet::poll(const Handle& handle, std::size_t limit) {
  host_.refuse_elsewhere("pull events from");
  std::size_t handled = 0;
  const std::size_t lanes = port_->size();
  std::size_t index = first_;
  for (std::size_t i = 0; i < lanes; ++i) {
    InLane& in = (*port_)[index];
    index = index + 1 < lanes ? index + 1 : 0;
    const bool goes_on = handled < limit;
    handled += poll_lane(in, handle, limit - handled);
    // The lanes behind this one are the first to be asked by the next poll.
    if (goes_on && handled == limit) first_ = index;
    port_->note_end(in, false);
    if (in.lane.corrupt()) {
      publish();
      port_->refuse(in, "the lane of the outlet '" + host_.wiring().node(node_).name + "'");
    }
  }
  publish();
  return handled;
}

std::size_t HostOutlet::poll_lane(InLane& in, const Handle& handle, std::size_t limit) {
  std::size_t handled = 0;
  // What is there now: a producer that is quicker than the host must not hold it here.
  const std::uint64_t end = in.lane.next() + in.lane.readable();
  while (in.lane.next() != end && handled < limit) {
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
    port_->touch(in);
    ++position_;
    ++handled;
  }
  return handled;
}

void HostOutlet::publish() {
  if (!port_->touched()) return;
  port_->record(commit_->record());
  commit_->commit(position_);
  ipc::Published published;
  port_->ring(published, true);
}

bool HostOutlet::wait(std::chrono::nanoseconds limit) {
  host_.refuse_elsewhere("pull events from");
  const auto ready = [this] {
    return std::any_of(port_->lanes().begin(), port_->lanes().end(),
                       [this](InLane& in) { return port_->ready(in, false); });
  };
  const auto until = monotonic_now() + limit;
  while (!ready() && !ended()) {
    const auto left = until - monotonic_now();
    if (left.count() <= 0) return ready();
    waiter_.wait_until(ready, std::min<std::chrono::nanoseconds>(left, kHostLook));
  }
  return true;
}

bool HostOutlet::ended() {
  poll([](std::span<const std::byte>) { return true; }, 0);
  if (port_->all_ended()) return true;
  // Asked before the lanes are looked at: no process publishes any more once it is over.
  if (!host_.over() && !host_.abandoned()) return false;
  return std::all_of(port_->lanes().begin(), port_->lanes().end(),
                     [](InLane& in) { return in.lane.readable() == 0; });
}

}  // namespace sluice::detail
