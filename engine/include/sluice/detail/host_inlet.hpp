// SPDX-License-Identifier: Apache-2.0
// HostInlet: the part of an inlet that does not depend on the type of its events.
//
// Used by the host, by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include <sluice/detail/batch.hpp>
#include <sluice/detail/output_port.hpp>
#include <sluice/event.hpp>
#include <sluice/push_result.hpp>

namespace sluice::detail {

class Host;
class HostCommit;
class Waiter;

class HostInlet final : private Producer {
 public:
  HostInlet(Host& host, NodeIndex node, Waiter& waiter);
  ~HostInlet() override;
  HostInlet(const HostInlet&) = delete;
  HostInlet& operator=(const HostInlet&) = delete;

  template <Event T>
  PushResult push(const T& event) {
    if (closed_ || shut()) return PushResult::ended;
    ++batch_.event;
    outcome_ = PushResult::accepted;
    try {
      port_.push(port_.output(0), event);
    } catch (...) {
      // Some lanes may have got it already: all or nothing.
      port_.forget();
      throw;
    }
    if (outcome_ == PushResult::ended) {
      port_.forget();
    } else {
      ++position_;
      publish();
    }
    return outcome_;
  }
  // Nothing follows: the end of the stream. Can be repeated.
  void close();
  bool closed() const noexcept { return closed_; }
  std::uint64_t position() const noexcept { return position_; }
  NodeIndex node() const noexcept { return node_; }

 private:
  bool gives_up(const OutLane& lane) const noexcept override;
  void lost(Lost why) noexcept override;
  void publish_before_event() override {}  // Each event is published as it comes.
  void wait_for_room(const std::function<bool()>& ready) override;
  // No event can be taken any more: the pipeline is over or drains. Throws Error in a child of the host.
  bool shut();
  void publish();

  Host& host_;
  NodeIndex node_;
  Waiter& waiter_;
  std::unique_ptr<HostCommit> commit_;  // Of a pipeline that can be resumed: a push of any other costs less.
  Batch batch_;
  OutputPort port_;
  std::uint64_t position_ = 0;
  PushResult outcome_ = PushResult::accepted;
  bool closed_ = false;
};

}  // namespace sluice::detail
