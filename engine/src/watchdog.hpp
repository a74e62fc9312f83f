// The watchdog's judgement: numbers in, verdict out. Pure functions; the master measures and acts.
//
// Progress is judged, not heartbeats: a worker is healthy while its progress word moves, or while it has a
// reason not to move it. The rules, first match first:
//
//   the watchdog itself woke late                      void: no verdict, clocks restart
//   stopped by a signal or a debugger, and not idle    stopped: left alone
//   waits for room and there is none                   back_pressured
//   waits for input and there is none                  idle
//   progress has moved                                 busy
//   no progress within the deadline: asleep            stalled, by wall time
//                                    in state D        unkillable
//                                    on a CPU          stalled, by CPU time; starved until then
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include <sluice/ipc/control.hpp>

namespace sluice {

enum class Verdict : std::uint32_t {
  idle,
  back_pressured,
  busy,
  stalled,
  starved,
  stopped,
  unkillable,
  dead,
  voided,
};
std::string_view name_of(Verdict verdict) noexcept;

// What the kernel says of a process: the third and the 14th and 15th field of /proc/PID/stat.
struct KernelAccount {
  char state = '?';
  std::chrono::nanoseconds cpu_time{0};  // User and system.
};

struct Observation {
  std::chrono::nanoseconds now{0};
  ipc::Activity activity = ipc::Activity::none;
  std::uint64_t progress = 0;
  bool could_move = false;  // What it says it waits for is there: input if it is idle, room if it is full.
  std::optional<KernelAccount> account;  // Absent while nothing is suspicious.
};

// What the watchdog remembers of one incarnation of one worker.
struct Watch {
  std::chrono::nanoseconds last_look{0};
  std::chrono::nanoseconds since{0};  // Since when the progress word has not moved.
  std::uint64_t progress = 0;
  std::optional<std::chrono::nanoseconds> cpu_time;  // At the first account taken since then.
};

struct WatchLimits {
  std::chrono::nanoseconds deadline{0};        // For one event.
  std::chrono::nanoseconds start_deadline{0};  // From the fork to the loop.
  std::chrono::nanoseconds late{0};            // A look this much after the last one is void.
};

// True when the verdict needs the kernel's account: the progress word stands still though it should move.
bool is_suspicious(const Watch& watch, const Observation& seen) noexcept;

// The verdict on what is seen; `watch` is brought up to date.
Verdict judge(Watch& watch, const Observation& seen, const WatchLimits& limits) noexcept;

}  // namespace sluice
