// SPDX-License-Identifier: Apache-2.0
// How a process waits on its doorbell: the host at its inlets and outlets, a worker for input and for room.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include <sluice/detail/clock.hpp>
#include <sluice/ipc/waiting.hpp>

#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// A worker's wait for input or room looks again after this, should no neighbour ring.
inline constexpr std::chrono::seconds kLongestWait{1};

// How long a wait of the host at an inlet or outlet goes on without a look at whether the pipeline is still there.
inline constexpr std::chrono::milliseconds kHostLook{50};

// How a process waits: blocked on its doorbell, or by running its neighbours in the same thread.
class Waiter {
 public:
  virtual ~Waiter() = default;
  // Returns when `ready`, or after a while.
  virtual ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds bound) = 0;
  // The same for a wait that may be in vain: not before `bound` has passed, whatever rings meanwhile.
  virtual void wait_briefly(const std::function<bool()>& ready, std::chrono::nanoseconds bound) {
    const auto until = monotonic_now() + bound;
    for (auto left = bound; left.count() > 0 && !ready(); left = until - monotonic_now())
      wait_until(ready, left);
  }
  // Before a look at lanes in which events come in a stream: lets some more of them come first. Not for who has to leave its
  // place to others meanwhile: that one does not gather.
  virtual bool gathers() const noexcept { return true; }
  virtual void let_gather() noexcept {}
  // A pause, for a process that has nothing to look at meanwhile: not longer than `limit`.
  virtual void pause(std::chrono::nanoseconds limit) = 0;
};

// How a process with these settings waits. A shared place never spins.
ipc::WaitPolicy wait_policy(const WaitSettings& settings, bool shared_place);

// Waits on the doorbell of the calling process. A process that is `alone` waits in one thread only: after
// many waits without a sleep it says that it is wide awake. While `crowded` is not 0 its place is shared, and it never
// spins whatever the policy says: the master may give it another place while it runs.
class DoorbellWaiter final : public Waiter {
 public:
  DoorbellWaiter(const ipc::WaitPolicy& policy, ipc::Control& own, const ipc::Doorbell& bell,
                 bool alone = false, const std::atomic<std::uint32_t>* crowded = nullptr)
      : policy_{policy}, own_{own}, bell_{bell}, alone_{alone}, crowded_{crowded} {}

  ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds bound) override;
  bool gathers() const noexcept override;
  void let_gather() noexcept override;
  void pause(std::chrono::nanoseconds limit) override;

 private:
  void rouse() noexcept;
  const ipc::WaitPolicy& policy() const noexcept;

  ipc::WaitPolicy policy_;
  ipc::Control& own_;
  const ipc::Doorbell& bell_;
  bool alone_;
  const std::atomic<std::uint32_t>* crowded_;
  bool in_vain_ = false;    // The last wait came to its bound.
  std::uint32_t naps_ = 0;  // Of this process, at the last wait.
  std::uint32_t waits_without_nap_ = 0;
};

}  // namespace sluice::detail
