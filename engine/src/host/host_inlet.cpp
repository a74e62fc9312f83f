// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/host_inlet.hpp"

#include "host/host.hpp"
#include "host/host_commit.hpp"
#include "ports/waiter.hpp"

namespace sluice::detail {

HostInlet::HostInlet(Host& host, NodeIndex node, Waiter& waiter)
    : host_{host},
      node_{node},
      waiter_{waiter},
      // Recovery comes first: the port reads the cursors.
      commit_{host.wiring().segment().named() ? std::make_unique<HostCommit>(host.wiring(), node) : nullptr},
      port_{host.wiring(), kHostProcess, node, 0, batch_, *this},
      position_{commit_ == nullptr ? 0 : commit_->count()},
      closed_{port_.ended()} {}

HostInlet::~HostInlet() = default;

bool HostInlet::shut() {
  host_.refuse_elsewhere("push an event to");
  if (host_.over()) return true;
  if (!host_.drain_asked()) return false;
  // An operator has asked: the host hears of it here.
  close();
  return true;
}

bool HostInlet::gives_up(const OutLane&) const noexcept {
  return host_.over() || host_.abandoned();
}

void HostInlet::lost(Lost why) noexcept {
  if (outcome_ == PushResult::ended) return;
  outcome_ = why == Lost::given_up ? PushResult::ended : PushResult::dropped;
  ipc::Counters& counters = host_.wiring().host().counters();
  if (why == Lost::shed) counters.shed.add();
  if (why == Lost::dropped || why == Lost::refused) counters.dropped.add();
}

void HostInlet::wait_for_room(const std::function<bool()>& ready) {
  while (!ready())
    waiter_.wait_until(ready, kHostLook);
}

void HostInlet::publish() {
  if (commit_ == nullptr) {
    port_.publish();
  } else {
    port_.record(commit_->record(), true);
    commit_->commit(position_);
  }
  ipc::Published published;
  port_.ring(published, true);
}

void HostInlet::close() {
  if (closed_) return;
  host_.refuse_elsewhere("close an inlet of");
  closed_ = true;
  port_.end();
  publish();
}

}  // namespace sluice::detail
