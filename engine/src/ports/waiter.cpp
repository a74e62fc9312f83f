// SPDX-License-Identifier: Apache-2.0
#include "ports/waiter.hpp"

#include <algorithm>
#include <sched.h>

namespace sluice::detail {

ipc::WaitPolicy wait_policy(const WaitSettings& settings, bool shared_place) {
  ipc::WaitPolicy policy;
  if (shared_place) return policy;
  policy.spin = settings.spin;
  policy.sleep = settings.strategy == WaitStrategy::sleep;
  if (settings.strategy != WaitStrategy::spin) policy.yield = settings.yield;
  // A wait that never sleeps goes on with its last step: that is to yield, even if no time is set for it.
  if (settings.strategy == WaitStrategy::yield)
    policy.yield = std::max(policy.yield, std::chrono::nanoseconds{1});
  return policy;
}

// A process that has waited to its bound in vain waits so many times as long.
constexpr int kIdleBounds = 4;

void DoorbellWaiter::rouse() noexcept {
  // So many waits take longer than the far fence that the next sleep costs for it.
  constexpr std::uint32_t kBusy = 1024;
  const std::uint32_t naps = own_.naps.load(std::memory_order_relaxed);  // relaxed: own word.
  if (naps != naps_) {
    naps_ = naps;
    waits_without_nap_ = 0;
  } else if (++waits_without_nap_ == kBusy) {
    ipc::stay_awake(own_);
  }
}

const ipc::WaitPolicy& DoorbellWaiter::policy() const noexcept {
  static constexpr ipc::WaitPolicy kCrowded{};
  // relaxed: seen a wait later, it costs one more spin.
  return crowded_ != nullptr && crowded_->load(std::memory_order_relaxed) != 0 ? kCrowded : policy_;
}

ipc::Woken DoorbellWaiter::wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds bound) {
  ipc::WaitPolicy policy = this->policy();
  policy.bound = std::min(policy.bound, bound);
  if (alone_) rouse();
  if (in_vain_ && policy.sleep) {
    // Nothing came all the while: to spin again is in vain, and so is to look that often. A neighbour that
    // publishes rings; the bound is there for a ring that is lost, which would be a bug.
    policy.spin = policy.yield = {};
    policy.bound *= kIdleBounds;
  }
  const ipc::Woken woken = ipc::wait(policy, own_, bell_, ready);
  in_vain_ = alone_ && woken == ipc::Woken::bound;
  return woken;
}

void DoorbellWaiter::pause(std::chrono::nanoseconds limit) {
  // A process that may not sleep asks again at once. Spinning before the sleep would be in vain: nothing can come.
  if (policy().sleep) {
    bell_.wait(limit);
  } else if (policy().yield.count() > 0) {
    ::sched_yield();
  }
}

}  // namespace sluice::detail
