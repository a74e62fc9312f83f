// SPDX-License-Identifier: Apache-2.0
#include "worker/outside_wait.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <unistd.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>

#include "death/words_of.hpp"
#include "layout/relaxed.hpp"
#include "worker/own_bell.hpp"
#include "worker/stand_still.hpp"

namespace sluice::detail {
namespace {

// relaxed throughout: own words, which others read as claims; the fences keep the compiler in order.

constexpr std::chrono::nanoseconds kFirstPause = std::chrono::milliseconds{5};
constexpr std::chrono::nanoseconds kLongestPause = std::chrono::seconds{1};

}  // namespace

// A predecessor that died while it waited has left the beginning of the wait behind: it goes on.
OutsideWait::OutsideWait(const Wiring& wiring, WorkerIndex worker)
    : wiring_{wiring},
      worker_{worker},
      control_{wiring.worker(worker).control()},
      pause_{kFirstPause},
      away_{was_before(control_.outside.since_ns.load(kRelaxed), monotonic_now())} {}

void OutsideWait::say(const char* what, std::chrono::nanoseconds now) noexcept {
  ipc::Outside& outside = control_.outside;
  const std::int64_t since = away_ ? outside.since_ns.load(kRelaxed) : now.count();
  if (std::strncmp(outside.text, what, sizeof(outside.text) - 1) != 0 || !away_) {
    outside.since_ns.store(0, kRelaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::snprintf(outside.text, sizeof(outside.text), "%s", what);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    outside.since_ns.store(since, kRelaxed);
  }
  away_ = true;
  // A flush that found nobody there says nothing about its events.
  outside.flushing.store(0, kRelaxed);
  control_.activity.store(ipc::Activity::outside, kRelaxed);
}

void OutsideWait::wait(const Unavailable& away) {
  const char* const what = words_of(away);
  if (reached_ != 0 && away.reached() > reached_) over();
  reached_ = std::max(reached_, away.reached());
  auto now = monotonic_now();
  say(what, now);
  const std::chrono::nanoseconds patience = wiring_.settings(worker_).outside_patience;
  const std::chrono::nanoseconds waited = time_since(control_.outside.since_ns.load(kRelaxed), now);
  if (patience.count() != 0 && waited >= patience) {
    throw Error{
        {"go on with", wiring_.name(worker_), what, "outside.patience is over; raise it to wait longer"}};
  }
  // The start of the pipeline does not wait for the outside.
  ipc::Life& life = control_.lives[control_.incarnation.load(kRelaxed) % ipc::kLivesKept];
  if (life.ready_ns.load(kRelaxed) == 0) life.ready_ns.store(now.count(), kRelaxed);
  // Between a half and the whole of it, so that workers that lost the same service do not come back together.
  const auto half = pause_.count() / 2;
  std::minstd_rand random{static_cast<std::uint32_t>(now.count() ^ (std::int64_t{::getpid()} << 16U))};
  auto until = now + std::chrono::nanoseconds{half + static_cast<std::int64_t>(random()) % (half + 1)};
  if (patience.count() != 0) until = std::min(until, now + (patience - waited));
  pause_ = std::min(2 * pause_, kLongestPause);
  // A stop kills this process, and a standstill is reached here as anywhere: what the worker was about is given up.
  // All else is heard when the wait is over, within a second.
  for (; now < until; now = monotonic_now()) {
    if (asks_to_stand(standstill_of(wiring_.master()))) {
      stand_still(wiring_, worker_, [this](const auto&) { wiring_.bell(worker_).wait(kLongestPause); });
      control_.activity.store(ipc::Activity::outside, kRelaxed);
    }
    wiring_.bell(worker_).wait(until - now);
    check_own_bell(wiring_, worker_);
  }
  control_.activity.store(ipc::Activity::starting, kRelaxed);
}

void OutsideWait::over() noexcept {
  if (!away_) return;
  away_ = false;
  pause_ = kFirstPause;
  control_.outside.since_ns.store(0, kRelaxed);
}

}  // namespace sluice::detail
