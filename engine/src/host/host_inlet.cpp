// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/host_inlet.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "host/deadline.hpp"
#include "host/end_descriptor.hpp"
#include "host/host.hpp"
#include "host/own_outlet.hpp"
#include "ports/host_commit.hpp"
#include "ports/waiter.hpp"

namespace sluice::detail {

HostInlet::HostInlet(Host& host, NodeIndex node, Waiter& waiter)
    : host_{host},
      node_{node},
      waiter_{waiter},
      // Recovery comes first: the port reads the cursors.
      commit_{host.wiring().kept() ? std::make_unique<HostCommit>(host.wiring(), node) : nullptr},
      port_{host.wiring(), kHostProcess, node, 0, event_, *this},
      position_{commit_ == nullptr ? 0 : commit_->count()},
      closed_{port_.ended()},
      loses_{port_.loses()},
      descriptor_{std::make_unique<EndDescriptor>(host.wiring(), node)} {
  OutLane* lane = OutputPort::only_lane(port_.output(0));
  // What a host that died in the midst of a push has left. relaxed: a claim.
  host_.wiring().end(node_).control.awaited_lane.store(0, std::memory_order_relaxed);
  if (commit_ == nullptr && !loses_ && lane != nullptr && lane->stamping.stamps == nullptr) at_once_ = lane;
}

HostInlet::~HostInlet() = default;

bool HostInlet::takes_at_once() {
  host_.refuse_elsewhere("push an event to");
  return !closed() && !closing_.asked() && !armed_ && !host_.over() && !host_.drain_asked();
}

HostInlet::Until HostInlet::after(std::chrono::nanoseconds limit) noexcept {
  return deadline_after(limit);
}

std::uint64_t HostInlet::safe() const noexcept {
  const std::atomic<std::uint64_t>* checkpointed = host_.wiring().telling_of(node_);
  // What has had all its effects needs no checkpoint any more.
  if (checkpointed == nullptr || host_.state() == RunState::finished) return position_;
  // [end.checkpointed] acquire: the checkpoint is published; pairs with Checkpointer::release().
  return checkpointed->load(std::memory_order_acquire);
}

bool HostInlet::shut() {
  host_.refuse_elsewhere("push an event to");
  if (host_.over()) return true;
  if (!closing_.asked() && !host_.drain_asked()) return false;
  // An operator has asked, or another thread: the host hears of it here.
  close();
  return true;
}

bool HostInlet::gives_up(const OutLane&) const noexcept {
  return host_.over() || host_.abandoned();
}

void HostInlet::lost(Lost why) noexcept {
  if (outcome_ == PushResult::ended || outcome_ == PushResult::full) return;
  switch (why) {
    case Lost::given_up:
      outcome_ = PushResult::ended;
      return;
    case Lost::too_late:
      outcome_ = PushResult::full;
      return;
    case Lost::shed:
      host_.wiring().host().counters().shed.add_among_threads();
      break;
    default:
      host_.wiring().host().counters().dropped.add_among_threads();
  }
  outcome_ = PushResult::dropped;
}

void HostInlet::publish_before_event() {
  // What is all or nothing is published as a whole.
  if (loses_ && pushed_ != 0) publish(false);
}

namespace {

// Says which lane it waits for, as a worker does: the master looks for what nobody pulls.
class AwaitedLane {
 public:
  AwaitedLane(ipc::Control& control, LaneIndex lane) noexcept : control_{control} {
    control_.awaited_lane.store(lane.value() + 1, std::memory_order_relaxed);  // relaxed: a claim.
  }
  ~AwaitedLane() { control_.awaited_lane.store(0, std::memory_order_relaxed); }  // relaxed: a claim.
  AwaitedLane(const AwaitedLane&) = delete;
  AwaitedLane& operator=(const AwaitedLane&) = delete;

 private:
  ipc::Control& control_;
};

}  // namespace

bool HostInlet::wait_for_room(OutLane& lane, const std::function<bool()>& ready) {
  const AwaitedLane awaited{host_.wiring().end(node_).control, lane.id};
  std::optional<FullOutlet> own;
  auto own_since = monotonic_now();
  while (!ready()) {
    std::chrono::nanoseconds bound = kHostLook;
    if (until_ != kForEver) {
      bound = until_ == kNotAtAll ? bound.zero() : std::min(bound, until_ - monotonic_now());
      if (bound.count() <= 0) {
        full_ = &lane;
        full_head_ = lane.lane.next() - lane.lane.fill_bytes();
        return false;
      }
    }
    waiter_.wait_until(ready, bound);
    if (until_ != kForEver) continue;
    const auto now = monotonic_now();
    const std::optional<FullOutlet> found = own_outlet_behind(host_, lane.id);
    if (!found || found != own) {
      own = found;
      own_since = now;
    } else if (now - own_since >= 2 * kHostLook && !ready()) {
      refuse_deadlock(found->lane);
    }
  }
  return true;
}

void HostInlet::wait_briefly(const std::function<bool()>& ready, std::chrono::nanoseconds limit) {
  waiter_.wait_briefly(ready, limit);
}

void HostInlet::refuse_deadlock(LaneIndex lane) const {
  const Wiring& wiring = host_.wiring();
  const std::string& outlet = wiring.node(wiring.edge(wiring.layout().lanes[lane]).to).name;
  throw Error{
      {"push an event to", wiring.node(node_).name,
       fmt::format(
           "it would wait for ever: the outlet '{}' is full, and this thread, which waits, is the one "
           "that pulls from it",
           outlet),
       "pull between the pushes, use try_push(), or pull in a thread of its own"}};
}

void HostInlet::publish(bool whole) {
  if (pushed_ != 0) position_ += std::exchange(pushed_, 0);
  if (commit_ == nullptr) {
    port_.publish(whole);
  } else {
    port_.record(commit_->record(), whole);
    commit_->commit(position_);
  }
  ipc::Published published;
  port_.ring(published, whole);
}

// What was not published, or, of lanes that lose events, the last one alone.
void HostInlet::give_back() {
  if (loses_ && pushed_ != 0) {
    port_.take_event_back();
    publish();
  } else {
    pushed_ = 0;
    port_.forget();
  }
}

void HostInlet::close() {
  host_.refuse_elsewhere("close an inlet of");
  // [inlet.closed] acq_rel: one of two threads makes the end.
  if (closed_.exchange(true, std::memory_order_acq_rel)) return;
  try {
    port_.end();
    pushed_ = 0;
    publish();
  } catch (...) {
    // [inlet.closed] release: the next try finds what this one has left.
    closed_.store(false, std::memory_order_release);
    throw;
  }
}

void HostInlet::close_unless_under_way() {
  if (!closing_.under_way()) close();
}

// What cannot be closed is an Error of the next call that closes it.
void HostInlet::close_behind_a_push() noexcept {
  try {
    close();
  } catch (...) {
  }
}

int HostInlet::fd() {
  host_.refuse_elsewhere("wait for an inlet of");
  return descriptor_->fd(host_.lifeline());
}

bool HostInlet::arm() {
  host_.refuse_elsewhere("wait for an inlet of");
  armed_ = !descriptor_->arm([this] {
    return full_ == nullptr || closed() || closing_.asked() || host_.drain_asked() || gives_up(*full_) ||
           full_->is_shed() || full_->lane.next() - full_->lane.fill_bytes() != full_head_ ||
           full_->lane.corrupt();
  });
  return !armed_;
}

void HostInlet::disarm() noexcept {
  descriptor_->disarm();
  armed_ = false;
}

void HostInlet::let_go() noexcept {
  descriptor_->let_go();
}

}  // namespace sluice::detail
