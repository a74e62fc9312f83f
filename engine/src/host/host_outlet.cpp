// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/host_outlet.hpp"

#include <algorithm>
#include <utility>

#include <sluice/error.hpp>
#include <sluice/ipc/framing.hpp>

#include "host/deadline.hpp"
#include "host/end_descriptor.hpp"
#include "host/host.hpp"
#include "host/own_outlet.hpp"
#include "ports/host_commit.hpp"
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
      position_{commit_->count()},
      descriptor_{std::make_unique<EndDescriptor>(host.wiring(), node)} {
  type_ = host.wiring().graph().edge_to(node).type;
  if (port_->size() == 1) only_ = &lane_at(0);
}

HostOutlet::~HostOutlet() = default;

inline void HostOutlet::use(const char* tried) {
  host_.refuse_elsewhere(tried);
  user_.store(this_thread(), std::memory_order_relaxed);  // relaxed: as in user().
  if (armed_) [[unlikely]]
    disarm();
  if (handed_out_ != 0) count_handed_out();
}

ipc::LaneConsumer* HostOutlet::use_only() {
  if (handing_out_) [[unlikely]]
    refuse_poll_within();
  use("pull events from");
  return only_;
}

void HostOutlet::refuse_poll_within() const {
  throw Error{{"pull events from the outlet", "'" + host_.wiring().node(node_).name + "'",
               "a poll of it hands events out already", "poll behind that, in its own thread"}};
}

std::size_t HostOutlet::lane_count() const noexcept {
  return port_->size();
}

ipc::LaneConsumer& HostOutlet::lane_at(std::size_t index) noexcept {
  return (*port_)[index].lane;
}

// What came before that is handed out, and counts with the next call.
void HostOutlet::end_portion(std::size_t index) {
  InLane& in = (*port_)[index];
  port_->note_end(in, false);
  if (in.lane.corrupt())
    port_->refuse(in, "the lane of the outlet '" + host_.wiring().node(node_).name + "'");
}

std::size_t HostOutlet::poll_payloads(const std::function<void(std::span<const std::byte>)>& handle,
                                      std::size_t limit) {
  const auto take = [&](ipc::LaneConsumer& lane) -> std::uint64_t {
    if (type_.record) {
      const std::span<const std::byte> payload = ipc::peek_record(lane);
      if (payload.data() == nullptr) return 0;
      handle(payload);
      return ipc::record_stride(payload.size());
    }
    if (lane.readable() < type_.bytes) return 0;
    handle({lane.data(), type_.bytes});
    return type_.bytes;
  };
  return poll(take, limit);
}

void HostOutlet::ack() {
  host_.refuse_elsewhere("pull events from");
  if (handed_out_ != 0) count_handed_out();
}

// All lanes that have come further move with the count. What was handed out has a length: so they are those whose events were.
inline void HostOutlet::count_handed_out() {
  position_ += std::exchange(handed_out_, 0);
  if (only_ != nullptr) [[likely]] {
    const InLane& in = port_->lanes().front();
    commit_->commit(in.word, in.lane.next(), position_);
    return InputPort::ring(in);
  }
  for (InLane& in : port_->lanes()) {
    if (in.lane.next() != in.lane.head()) port_->touch(in);
  }
  port_->record(commit_->record());
  commit_->commit(position_);
  ipc::Published published;
  port_->ring(published, true);
}

bool HostOutlet::wait(std::chrono::nanoseconds limit) {
  use("pull events from");
  const auto until = deadline_after(limit);
  while (!ready() && !ended()) {
    const auto left = until - monotonic_now();
    if (left.count() <= 0) return ready();
    waiter_.wait_until([this] { return ready(); }, std::min<std::chrono::nanoseconds>(left, kHostLook));
  }
  return true;
}

bool HostOutlet::ready() noexcept {
  return std::any_of(port_->lanes().begin(), port_->lanes().end(),
                     [this](InLane& in) { return port_->ready(in, false); });
}

bool HostOutlet::ended() {
  host_.refuse_elsewhere("pull events from");
  for (std::size_t index = 0; index < port_->size(); ++index) {
    // A look at what is there: the end is seen with it.
    if (lane_at(index).readable() == 0 || lane_at(index).corrupt()) end_portion(index);
  }
  if (handed_out_ != 0) return false;
  if (port_->all_ended()) return true;
  // Asked before the lanes are looked at: no process publishes any more once it is over.
  if (!host_.over() && !host_.abandoned()) return false;
  return std::all_of(port_->lanes().begin(), port_->lanes().end(),
                     [](InLane& in) { return in.lane.readable() == 0; });
}

void HostOutlet::disarm() noexcept {
  descriptor_->disarm();
  armed_ = false;
}

int HostOutlet::fd() {
  host_.refuse_elsewhere("wait for an outlet of");
  return descriptor_->fd(host_.lifeline());
}

bool HostOutlet::arm() {
  use("wait for an outlet of");
  armed_ = !descriptor_->arm(
      [this] { return ready() || port_->all_ended() || host_.over() || host_.abandoned(); });
  return !armed_;
}

void HostOutlet::let_go() noexcept {
  descriptor_->let_go();
}

}  // namespace sluice::detail
