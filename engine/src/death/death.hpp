// SPDX-License-Identifier: Apache-2.0
// How a worker's process ended, and whether the event in its handler is to blame for it. Pure: the master
// gathers the evidence.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sluice/detail/progress.hpp>

#include "death/crash_note.hpp"

namespace sluice::detail {

// How a worker's process ends, for its master.
inline constexpr int kExitFinished = 0;
inline constexpr int kExitHopeless = 70;      // An Error: trying again would end the same way.
inline constexpr int kExitHandlerThrew = 71;  // Anything else that a handler threw.
inline constexpr int kExitCalled = 72;  // A handler has called exit() or quick_exit(), with whatever status.
// A replacement that was to be executed anew and could not become the worker; its region says why.
inline constexpr int kExitNotAnew = 73;

enum class Cause : std::uint32_t {
  finished = 0,         // Everything is committed that will ever be.
  hopeless = 1,         // An Error: trying again would end the same way.
  outside = 2,          // Another process killed it, or it is not known.
  crashed = 3,          // A signal that it raised itself.
  threw = 4,            // Its handler threw.
  exited = 5,           // Its handler ended the process.
  out_of_memory = 6,    // std::bad_alloc, or the kernel killed it for the memory it used.
  stalled = 7,          // The watchdog ended it.
  overran = 8,          // The same, in a call outside that took longer than it had said: Worker::outside().
  killed_in_event = 9,  // As `outside`, and each time in the same event: repeated_kills.hpp.
};
std::string_view name_of(Cause cause) noexcept;

// How a process ended, for its parent.
struct WaitStatus {
  bool exited = false;
  int value = 0;  // Exit status or signal.
};

struct Evidence {
  std::optional<WaitStatus> status;  // Absent when the process was no child of this master.
  bool ended_by_watchdog = false;
  bool overran = false;              // In a call outside, which it slept in.
  bool out_of_memory_kill = false;   // The kernel has killed a process of this cgroup for memory.
  bool finished = false;             // Its region says so.
  bool gave_up = false;              // It says so, and left a message.
  CrashKind note = CrashKind::none;  // Of this incarnation.
  int note_signal = 0;
};

struct Death {
  Cause cause = Cause::outside;
  int signal = 0;       // 0 when it did not die of one, or it is not known.
  int exit_status = 0;  // Of `exited`.
};

Death death_of(const Evidence& evidence) noexcept;

// For people: "signal 11 (Segmentation fault)". `message` is what the process left behind, if it did.
std::string to_text(const Death& death, std::string_view message);

// True for what the kernel says of where the worker wrote, whichever event it wrote for: whoever reads there is gone, the file is at
// its limit. The next event would die of it, too.
bool is_of_what_it_writes_to(const Death& death) noexcept;

// True for what the handler has done itself, as far as one can tell.
bool is_earned(Cause cause) noexcept;

// A count of deaths, and whose was counted last: one word, so that a master that takes over in the midst of a death does not
// count it again.
struct alignas(std::uint64_t) DeathCount {
  std::uint32_t deaths;
  std::int32_t pid;
};
static_assert(std::atomic<DeathCount>::is_always_lock_free);
// Counts that of `pid`, if it was not the last; how many there are then. By the master only.
std::uint32_t count_death(std::atomic<DeathCount>& count, std::int32_t pid) noexcept;
// A process that was born now has the pid of one that was counted.
void forget_pid(std::atomic<DeathCount>& count, std::int32_t pid) noexcept;

// An event that killed its worker, and how often.
struct Blame {
  // Written by the master only.
  std::atomic<std::uint64_t> event;  // event_word() of its position; 0: none. Stored last.
  std::atomic<DeathCount> attempts;
  std::atomic<std::uint32_t> lane;
  std::atomic<Cause> cause;               // Of the last time.
  std::atomic<std::int32_t> signal;       // Of the last time.
  std::atomic<std::int32_t> exit_status;  // Of the last time.
};
static_assert(sizeof(Blame) == 32);
inline constexpr std::size_t kBlamesKept = 4;

// Counts the death of process `pid` against `event`; how often it has killed by now. Several are remembered, because an event
// that kills only now and then must not make another one's count begin anew.
std::uint32_t count_blame(std::span<Blame, kBlamesKept> blames, const EventName& event, const Death& death,
                          std::int32_t pid) noexcept;
// The event of a blame; nothing for one that is not taken.
std::optional<EventName> event_of(const Blame& blame) noexcept;

}  // namespace sluice::detail
