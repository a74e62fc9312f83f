// SPDX-License-Identifier: Apache-2.0
// Waiting: what a process does while there is nothing to do. Spin, then yield, then sleep, as the policy
// says.
//
// Used by the owner of a Control and a Doorbell, in one thread. `ready` is asked again and again; it must be
// cheap and may look at anything. The wait returns after a bound even if nothing came, so that the caller can
// look at what no doorbell announces.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <sched.h>

#include <sluice/ipc/control.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/ipc/relax.hpp>

namespace sluice::ipc {

struct WaitPolicy {
  std::chrono::nanoseconds spin{0};   // How long to spin before the next step.
  std::chrono::nanoseconds yield{0};  // How long to yield before the next step.
  bool sleep = true;                  // False: never blocks, goes on with the last step that has a duration.
  std::chrono::nanoseconds bound{std::chrono::seconds{1}};
};

enum class Woken {
  ready,    // `ready` said so.
  unasked,  // `ready` said so, but only after the bound: no peer rang. A lost ring, and a bug.
  bound,    // `ready` says no: the bound has passed, or a peer rang for nothing.
};

// Between publishing a cursor and ringing, a peer may be preempted for about this long.
inline constexpr std::chrono::milliseconds kRingUnderWay{100};

// A sleeper that its peers may not have heard looks again so soon; by then they have.
inline constexpr std::chrono::nanoseconds kUnheard = std::chrono::milliseconds{1};

// Blocks until `ready()` or the bound of `policy`, and says which; a ring for nothing ends it early. The
// first looks make no system call. `own` and `doorbell` are those of the calling process; `ready` is bool(),
// and what it throws leaves `own` as one that sleeps, so it must not throw.
template <class Ready>
Woken wait(const WaitPolicy& policy, Control& own, const Doorbell& doorbell, Ready&& ready) {
  using Clock = std::chrono::steady_clock;
  constexpr int kLooksPerClock = 32;  // The clock costs more than a look.
  const auto start = Clock::now();
  auto now = start;
  const auto spin_until = start + (policy.sleep || policy.yield.count() > 0 ? policy.spin : policy.bound);
  while (now < spin_until) {
    for (int i = 0; i < kLooksPerClock; ++i) {
      if (ready()) return Woken::ready;
      relax();
    }
    now = Clock::now();
  }
  const auto yield_until = policy.sleep ? spin_until + policy.yield : start + policy.bound;
  while (now < yield_until) {
    if (ready()) return Woken::ready;
    ::sched_yield();
    now = Clock::now();
  }
  if (!policy.sleep) return ready() ? Woken::ready : Woken::bound;

  const bool heard = fall_asleep(own);
  if (ready()) {
    wake_up(own);
    return Woken::ready;
  }
  bool rang = doorbell.wait(heard ? policy.bound : std::min(policy.bound, kUnheard));
  // What came just as the bound passed is no lost ring: its publisher sees that this side sleeps.
  if (!rang && ready()) rang = doorbell.wait(kRingUnderWay);
  wake_up(own);
  // Another thread of this process sleeps at the same doorbell, and this one may have taken its ring.
  if (rang && sleeps(own)) doorbell.ring();
  if (!ready()) return Woken::bound;
  return rang || !heard ? Woken::ready : Woken::unasked;
}

}  // namespace sluice::ipc
