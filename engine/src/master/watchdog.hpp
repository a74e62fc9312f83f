// SPDX-License-Identifier: Apache-2.0
// The watchdog's judgement: numbers in, verdict out. Pure functions; the master measures and acts.
//
// Progress is judged, not heartbeats: a worker is healthy while its progress word moves, or while it has a
// reason not to move it. The rules, first match first:
//
//   the watchdog itself woke late                      void: no verdict, and this while does not count
//   stopped by a signal or a debugger, and not idle    stopped: left alone
//   waits for room and there is none                   back_pressured
//   waits for input and there is none                  idle
//   waits until the outside is there again, or in a    waiting outside
//     call that it has said may last until later
//   progress has moved                                 busy
//   no progress, past the deadline, stays in state D   unkillable
//   its own time has reached the deadline              stalled
//   the deadline has passed, its own time has not      starved
//
// A worker's own time is what it spent on a processor and what it slept: not what it waited for a processor,
// be it for its neighbours or for a quota, and not what it waited in state D. So a handler that spins is
// judged by CPU time, one that sleeps by wall time, and one that does both by their sum. What is not known
// counts for the worker. Between two looks no more than half a deadline counts, for the whole machine may
// have paused.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <sluice/detail/progress.hpp>
#include <sluice/ipc/control.hpp>

#include "layout/verdict.hpp"

namespace sluice::detail {

struct ThreadAccount {
  std::int32_t id = 0;
  char state = '?';                       // R, S, D, T, t, Z, ...
  std::chrono::nanoseconds cpu_time{0};   // User and system.
  std::chrono::nanoseconds run_delay{0};  // Runnable, and not running; a wait that lasts is not in it yet.
};

// What the kernel says of a process.
struct KernelAccount {
  static constexpr std::size_t kThreadsKept = 64;

  bool dying = false;                    // Its pidfd will say so; meanwhile it may write a core dump.
  bool run_delay_known = true;           // Not every kernel keeps it.
  std::chrono::nanoseconds cpu_time{0};  // Of all threads that there are and were.
  std::size_t thread_count = 0;          // Of those below.
  std::array<ThreadAccount, kThreadsKept> threads;  // The main thread first.

  bool has_thread_in(char state) const noexcept;
};

struct Observation {
  std::chrono::nanoseconds now{0};
  ipc::Activity activity = ipc::Activity::none;
  ProgressSeen progress;
  bool could_move = false;  // What it says it waits for is there: input if it is idle, room if it is full.
  // It has said that what it does may last until a time that is not over: a call outside, a source's wait.
  bool declared = false;
  std::optional<KernelAccount> account;  // Absent while nothing is suspicious.
};

// What the watchdog remembers of one incarnation of one worker.
struct Watch {
  std::chrono::nanoseconds last_look{0};
  ProgressSeen progress{};
  // Since the first look at which the progress word stood still.
  std::optional<KernelAccount> account{};  // The last one.
  std::chrono::nanoseconds account_at{0};
  std::chrono::nanoseconds watched{0};
  std::chrono::nanoseconds excused{0};   // Not its own time, for all that is known.
  std::chrono::nanoseconds main_own{0};  // The main thread's own time, at least.
  std::chrono::nanoseconds own_time{0};  // The longest of any thread, at least.
  std::array<std::chrono::nanoseconds, KernelAccount::kThreadsKept>
      used{};  // CPU time, a thread of `account` each.
};

struct WatchLimits {
  std::chrono::nanoseconds deadline{0};        // For one event.
  std::chrono::nanoseconds start_deadline{0};  // From the fork to the loop.
  std::chrono::nanoseconds late{0};            // A look this much after the last one is void.
  // The longest that a healthy worker sleeps although what it waits for is there: the process that should
  // ring may be kept from it between publishing and ringing.
  std::chrono::nanoseconds longest_wait{0};
};

// True when the verdict needs the kernel's account: the progress word stands still though it should move.
bool is_suspicious(const Watch& watch, const Observation& seen) noexcept;

// How often to look so that a stall is seen well within twice the shortest deadline of all.
std::chrono::nanoseconds tick_for(std::chrono::nanoseconds tick, std::chrono::nanoseconds deadline) noexcept;

// The same while all workers are idle. A worker that has nothing to do cannot stall: one that begins an event
// behind such a look is seen late by as much: a quarter of the deadline, or a tick. Half a deadline would be
// void.
std::chrono::nanoseconds idle_tick_for(std::chrono::nanoseconds tick,
                                       std::chrono::nanoseconds deadline) noexcept;

// The verdict on what is seen; `watch` is brought up to date.
Verdict judge(Watch& watch, const Observation& seen, const WatchLimits& limits) noexcept;

}  // namespace sluice::detail
