// SPDX-License-Identifier: Apache-2.0
#include "master/watchdog.hpp"

#include <algorithm>
#include <span>

namespace sluice::detail {
namespace {

using std::chrono::nanoseconds;

void restart_clock(Watch& watch, const Observation& seen) noexcept {
  watch.progress = seen.progress;
  watch.account.reset();
}

bool should_move(const Observation& seen) noexcept {
  if (seen.declared) return false;
  switch (seen.activity) {
    case ipc::Activity::idle:
    case ipc::Activity::full:
    case ipc::Activity::standing:
      return seen.could_move;
    case ipc::Activity::none:
    case ipc::Activity::outside:
      return false;
    default:
      return true;  // Also finished and failed: its process has nothing left to do but to end.
  }
}

// On one that has no reason to move.
Verdict verdict_on_wait(const Observation& seen) noexcept {
  switch (seen.activity) {
    case ipc::Activity::full:
      return Verdict::back_pressured;
    case ipc::Activity::idle:
    case ipc::Activity::none:
      return Verdict::idle;
    case ipc::Activity::standing:
      return Verdict::standing;
    default:
      return Verdict::outside;
  }
}

std::span<const ThreadAccount> threads_of(const KernelAccount& account) noexcept {
  return {account.threads.data(), account.thread_count};
}

// What the threads did between two accounts.
struct Interval {
  nanoseconds main_cpu{0};
  nanoseconds longest_use{0};  // Of any thread, in this event: together they may use more than there is time.
  nanoseconds run_delay{0};
  bool complete = true;  // No thread has ended, and taken what it knew along.
};

// `most` is what may count of each thread's time.
Interval follow_threads(Watch& watch, const KernelAccount& now, nanoseconds most) noexcept {
  const KernelAccount& before = *watch.account;
  const auto used_before = watch.used;
  Interval interval;
  std::size_t known = 0;
  nanoseconds seen_cpu{0};
  for (std::size_t i = 0; i < now.thread_count; ++i) {
    const ThreadAccount& thread = now.threads[i];
    const auto old = threads_of(before);
    const auto same =
        std::find_if(old.begin(), old.end(), [&](const ThreadAccount& each) { return each.id == thread.id; });
    const bool is_new = same == old.end();
    const ThreadAccount start = is_new ? ThreadAccount{} : *same;
    if (!is_new) ++known;
    const nanoseconds cpu = std::max(thread.cpu_time - start.cpu_time, nanoseconds{0});
    const nanoseconds use_before =
        is_new ? nanoseconds{0} : used_before[static_cast<std::size_t>(same - old.begin())];
    watch.used[i] = use_before + std::min(cpu, most);
    seen_cpu += cpu;
    if (i == 0) interval.main_cpu = std::min(cpu, most);
    interval.longest_use = std::max(interval.longest_use, watch.used[i]);
    interval.run_delay += std::max(thread.run_delay - start.run_delay, nanoseconds{0});
  }
  // A thread that came and went between two looks has left its CPU time with the process, and nothing else.
  constexpr nanoseconds kExact = std::chrono::microseconds{10};
  interval.complete = known == before.thread_count && now.cpu_time - before.cpu_time - seen_cpu <= kExact;
  return interval;
}

// Brings `own_time` up to date; since the last account no more than `most` counts. It is a lower bound: what
// has been on a processor has, whatever else is unknown.
void take_account(Watch& watch, const KernelAccount& now, nanoseconds at, nanoseconds most) noexcept {
  if (!watch.account) {
    watch.watched = watch.excused = watch.main_own = watch.own_time = nanoseconds{0};
    watch.used.fill(nanoseconds{0});
  } else {
    const KernelAccount& before = *watch.account;
    const nanoseconds wall = at - watch.account_at;
    const Interval interval = follow_threads(watch, now, std::min(wall, most));
    watch.watched += wall;
    watch.main_own += interval.main_cpu;
    const bool ran = now.cpu_time != before.cpu_time || now.has_thread_in('R') || before.has_thread_in('R');
    const bool blocked = now.has_thread_in('D') || before.has_thread_in('D');
    const bool unknown = blocked || (ran && !(interval.complete && now.run_delay_known));
    // A wait that began before this interval is known only now, so that it comes on top.
    watch.excused +=
        interval.run_delay + (unknown ? wall - interval.main_cpu : std::max(wall - most, nanoseconds{0}));
    // A thread that has ended took along how long it was kept waiting, and that may be all that is not counted yet.
    if (!interval.complete) watch.excused = std::max(watch.excused, watch.watched - watch.main_own);
    // While a thread waits for a processor, the kernel does not say for how long.
    if (!now.has_thread_in('R')) watch.main_own = std::max(watch.main_own, watch.watched - watch.excused);
    watch.own_time = std::max(watch.main_own, interval.longest_use);
  }
  watch.account = now;
  watch.account_at = at;
}

bool stays_uninterruptible(const KernelAccount& before, const KernelAccount& now) noexcept {
  return before.has_thread_in('D') && now.has_thread_in('D') && before.cpu_time == now.cpu_time;
}

}  // namespace

bool KernelAccount::has_thread_in(char state) const noexcept {
  const auto all = threads_of(*this);
  return std::any_of(all.begin(), all.end(),
                     [state](const ThreadAccount& each) { return each.state == state; });
}

bool is_suspicious(const Watch& watch, const Observation& seen) noexcept {
  return should_move(seen) && seen.progress == watch.progress;
}

nanoseconds tick_for(nanoseconds tick, nanoseconds deadline) noexcept {
  constexpr nanoseconds kLeast = std::chrono::microseconds{250};
  constexpr int kLooksPerDeadline = 8;
  return std::min(tick, std::max(deadline / kLooksPerDeadline, kLeast));
}

nanoseconds idle_tick_for(nanoseconds tick, nanoseconds deadline) noexcept {
  // So stale may be what people are shown.
  constexpr nanoseconds kMost = std::chrono::milliseconds{250};
  constexpr int kLooksPerDeadline = 4;
  return std::min(std::max(tick, deadline / kLooksPerDeadline), kMost);
}

Verdict judge(Watch& watch, const Observation& seen, const WatchLimits& limits) noexcept {
  const bool late = seen.now - watch.last_look > limits.late;
  watch.last_look = seen.now;
  if (!is_suspicious(watch, seen)) {
    restart_clock(watch, seen);
    if (late) return Verdict::voided;
    return should_move(seen) ? Verdict::busy : verdict_on_wait(seen);
  }
  // It is dead or dying, and its pidfd will say so.
  if (!seen.account || seen.account->dying) return late ? Verdict::voided : Verdict::busy;
  const char state = seen.account->threads[0].state;
  if (state == 'T' || state == 't') {
    restart_clock(watch, seen);
    return Verdict::stopped;
  }

  const bool waits = seen.activity == ipc::Activity::idle || seen.activity == ipc::Activity::full ||
                     seen.activity == ipc::Activity::standing;
  const nanoseconds deadline = seen.activity == ipc::Activity::starting ? limits.start_deadline
                               : waits ? limits.deadline + limits.longest_wait
                                       : limits.deadline;
  const bool blocked = watch.account && stays_uninterruptible(*watch.account, *seen.account);
  take_account(watch, *seen.account, seen.now, late ? nanoseconds{0} : deadline / 2);
  if (late) return Verdict::voided;
  if (watch.watched < deadline) return Verdict::busy;
  if (blocked) return Verdict::unkillable;
  if (watch.own_time >= deadline) return Verdict::stalled;
  // No process gets a processor without ever waiting for it.
  constexpr int kWorthAWord = 4;
  return watch.watched - watch.own_time >= deadline / kWorthAWord ? Verdict::starved : Verdict::busy;
}

}  // namespace sluice::detail
