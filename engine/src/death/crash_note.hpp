// SPDX-License-Identifier: Apache-2.0
// The crash note: what a dying worker can still say of its death, left in its own region.
//
// Written by the worker's signal handler, or where its process catches what a handler threw. Read once the
// death is confirmed, by the master, which decides who is to blame, and by the replacement, which hands the
// stack on with a dead letter. It comes from a process that was out of order: a claim, to be checked.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sluice/ipc/control.hpp>

#include "death/own_code.hpp"

namespace sluice::detail {

enum class CrashKind : std::uint32_t {
  none = 0,
  signal = 1,          // Raised by what it did itself: a bad access, abort().
  outside_signal = 2,  // The same signals, sent by another process.
  exception = 3,       // A handler threw.
  out_of_memory = 4,   // A handler threw std::bad_alloc.
};

inline constexpr std::uint32_t kFramesKept = 48;

struct alignas(64) CrashNote {
  // Written by the owner of the region only.
  std::atomic<std::uint32_t> incarnation;  // Whose note it is; 0 while it is being written.
  std::atomic<CrashKind> kind;
  std::atomic<std::int32_t> signal;
  std::atomic<std::uint32_t> frame_count;
  std::atomic<std::uint64_t> event;                // In which event, as in ipc::Progress,
  std::atomic<std::uint64_t> lane;                 // and of which lane.
  std::atomic<std::uint64_t> address;              // That could not be accessed; 0 for others.
  std::atomic<std::uint64_t> frames[kFramesKept];  // Return addresses, innermost first.
};
static_assert(sizeof(CrashNote) == 448);

// Where the events of a lane into the worker lie, for the copy of the event in its handler.
struct LaneInHand {
  const std::byte* ring = nullptr;  // Mapped twice in a row.
  std::uint64_t capacity_bytes = 0;
  std::uint64_t event_bytes = 0;  // Of each; not of records, which say it themselves.
  bool record = false;
};

// From now on the calling process leaves its note when it dies of a signal that it raised itself, and then
// dies of that signal all the same. Once a process, before it runs user code. `control` is that of its
// region. Its core dump, which holds no lanes, gets a copy of the event in the handler, up to 64 KiB of it, as the object
// sluice_event_in_hand; `lanes` are those into the worker, and outlive it.
void leave_crash_notes(CrashNote& note, const ipc::Control& control,
                       std::span<const LaneInHand> lanes) noexcept;

// The same for what a handler threw, from the same process.
void note_exception(CrashKind kind) noexcept;

// The stack of a note, which is not trusted: addresses of this process.
inline std::vector<std::uintptr_t> frames_of(const CrashNote& note) {
  std::vector<std::uintptr_t> frames;
  // relaxed: of a process that is dead.
  const std::uint32_t count = std::min(note.frame_count.load(std::memory_order_relaxed), kFramesKept);
  for (std::uint32_t i = 0; i < count; ++i)
    frames.push_back(as_here(note.frames[i].load(std::memory_order_relaxed)));
  return frames;
}

// Loads what the unwinder needs, which allocates: in the master, so that all forks have it.
void prepare_crash_notes() noexcept;

}  // namespace sluice::detail
