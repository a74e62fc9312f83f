// SPDX-License-Identifier: Apache-2.0
#include "ports/waiter.hpp"

#include <algorithm>
#include <sched.h>

#include <sluice/ipc/relax.hpp>

namespace sluice::detail {
namespace {

// How many ipc::relax() take about so long on this processor, as measured now, in some microseconds; at least one.
int relaxes_in(std::chrono::nanoseconds time) noexcept {
  using Clock = std::chrono::steady_clock;
  constexpr int kRounds = 3;
  constexpr std::int64_t kRelaxes = 32;
  constexpr std::int64_t kMost = 1000;
  auto least = Clock::duration::max();  // Other rounds were interrupted.
  for (int round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < kRelaxes; ++i)
      ipc::relax();
    least = std::min(least, Clock::now() - start);
  }
  return static_cast<int>(
      std::clamp<std::int64_t>(time.count() * kRelaxes / std::max<std::int64_t>(least.count(), 1), 1, kMost));
}

}  // namespace

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

bool DoorbellWaiter::gathers() const noexcept {
  return !policy().sleep || policy().spin.count() != 0;
}

void DoorbellWaiter::let_gather() noexcept {
  // About what a cache line takes to another core and back: in it a producer publishes some events more. Half of it and
  // four times as much do as well (docs/performance.md).
  constexpr std::chrono::nanoseconds kGather{100};
  if (!gathers()) return;
  static const int relaxes = relaxes_in(kGather);
  for (int i = 0; i < relaxes; ++i)
    ipc::relax();
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
