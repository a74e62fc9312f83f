// SPDX-License-Identifier: Apache-2.0
// The control block of a region: who owns it, what that process does now, and whether it sleeps.
//
// Written by the region's owner only; read by all others, which must take it as a claim, not as a fact: that a
// process is dead is known from its pidfd alone.
//
// The functions of the sleeping handshake stand here together because they are one argument:
//
//     sleeper, at its first sleep           waker
//     may_sleep = 1                            publishes a cursor
//     far fence   [sleep.far_fence]         (the far fence falls anywhere between these steps)
//     may_sleep = 2                            looks at may_sleep: 0? done
//
//     sleeper, every time                   waker, if the other is may_sleep
//     sleeping += 1                         full fence  [sleep.fence]
//     full fence  [sleep.fence]             looks at sleeping
//     looks at the cursors again            not 0: rings the doorbell
//     nothing new: blocks on the doorbell
//
// Of two full fences one comes first: either the sleeper sees the cursor or the waker sees that it sleeps.
// The far fence is one in the waker too, wherever the waker was: behind its look at may_sleep, then the cursor
// was published before the fence and the sleeper sees it; or before that look, then the look finds the
// sleeper may_sleep. So no waker fences for a neighbour that is wide awake, and a fence that has to wait for a
// line in another processor's cache costs a hundred times what it costs otherwise.
//
// Who has slept stays may_sleep until it has been busy for a while: a far fence costs more than a sleeper has to
// spend. A waker that dies between publishing and ringing is covered by its replacement, which rings every
// neighbour's doorbell; a sleeper that dies leaves its words behind, which costs its neighbours idle rings
// until the replacement is up.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <sluice/detail/sanitizers.hpp>
#include <sluice/ipc/far_fence.hpp>

namespace sluice::ipc {

inline constexpr std::uint64_t kRegionMagic = 0x736c756963652031;  // "sluice 1"
inline constexpr std::uint32_t kLayoutVersion = 8;
inline constexpr std::size_t kMessageBytes = 1024;
inline constexpr std::size_t kOutsideBytes = 232;

enum class Activity : std::uint32_t {
  none = 0,      // No process has taken the region yet.
  starting = 1,  // Recovers, binds itself, constructs its handler.
  idle = 2,      // Waits for input.
  busy = 3,      // Handles events: progress must move.
  full = 4,      // Waits for room in a lane it produces.
  finished = 5,  // Everything is committed that will ever be.
  failed = 6,    // Its handler threw; the message says what.
  hopeless = 7,  // Gave up for good; the message says why.
  standing = 8,  // Stands still at a commit, since it was asked to.
  outside = 9,   // Waits until the outside is there again: Outside says for what.
};

// When an incarnation reached what; CLOCK_MONOTONIC, 0: not yet.
struct Life {
  std::atomic<std::int64_t> born_ns;          // Its first instruction.
  std::atomic<std::int64_t> ready_ns;         // Recovered, handler constructed.
  std::atomic<std::int64_t> first_event_ns;   // It began its first event.
  std::atomic<std::uint32_t> incarnation;     // Which one this is.
  std::atomic<std::uint32_t> input_at_ready;  // 1 when events were waiting at ready_ns.
};
inline constexpr std::uint32_t kLivesKept = 64;

enum class Wakefulness : std::uint32_t {
  awake = 0,           // Will not sleep before a far fence: neighbours need not fence to ask.
  about_to_sleep = 1,  // The far fence is under way.
  may_sleep = 2,       // It is behind: may sleep at any time.
};

// Which event a worker is in, and the heartbeat: changes with every event. Written and read as
// sluice/detail/progress.hpp says.
struct Progress {
  std::atomic<std::uint64_t> event;  // Its position in its lane, plus 1; 0: none.
  std::atomic<std::uint64_t>
      looks;  // Counts what is progress and no event: a source was asked and had nothing.
  std::atomic<std::uint32_t>
      lane;  // The number of the lane among the worker's inputs. Changes while event is 0.
  // How many events the handler has at once, from that position on: a span. Changes while event is 0.
  std::atomic<std::uint32_t> span;
  std::atomic<std::uint64_t> span_end;  // The position behind them. Changes while event is 0, too.
};

// Events of a span that has killed its worker, or that could not be handled at once. Until all of them are done the
// worker hands out spans of `most` events at most. Written while most is 0, which stands for none.
struct Suspects {
  std::atomic<std::uint32_t> most;
  std::atomic<std::uint32_t> lane;
  std::atomic<std::uint64_t> end;  // The position behind them.
};

// What a worker says of the outside: whatever its handler reaches that is not ours.
struct Outside {
  std::atomic<std::int64_t> since_ns;  // It is away since then; CLOCK_MONOTONIC, 0: it is not.
  std::atomic<std::int64_t>
      until_ns;  // What the worker does now may last until then; 0: no longer than any event.
  // Events of the batch whose flush is under way, or that is done again since one of them found no room: a replacement that
  // finds this handles as many one by one.
  std::atomic<std::uint64_t> flushing;
  char text[kOutsideBytes];  // What is away. Written while since_ns is 0.
};

struct Control {
  // Identity.
  alignas(128) std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint32_t region;
  std::atomic<std::uint32_t> incarnation;  // 1 for the first owner, one more for each replacement.
  std::atomic<std::int32_t> pid;
  // The lives of the last incarnations; incarnation n at n % kLivesKept.
  Life lives[kLivesKept];

  alignas(128) Progress progress;
  std::atomic<Activity> activity;
  // Which standstill it has reached, and which process that is; 0 before. See layout/standstill.hpp.
  std::atomic<std::uint64_t> standing;
  // While activity is full: the number of the lane that it waits for, plus 1; 0: none.
  std::atomic<std::uint64_t> awaited_lane;
  Suspects suspects;
  // It goes no further until a checkpoint holds so many of its commits; 0: it waits for none.
  std::atomic<std::uint64_t> awaited_commits;

  // How many threads sleep: at most one in a worker. Read by every neighbour after it has published.
  alignas(128) std::atomic<std::uint32_t> sleeping;
  std::atomic<Wakefulness> wakefulness;
  std::atomic<std::uint32_t> naps;  // How often a thread was about to block; at most one of them too few.

  // Why it failed; valid once activity is failed.
  alignas(128) char message[kMessageBytes];

  alignas(128) Outside outside;
};
static_assert(sizeof(Life) == 32);
static_assert(offsetof(Control, progress) % 128 == 0 && offsetof(Control, sleeping) % 128 == 0);
static_assert(offsetof(Control, message) == 384 + kLivesKept * sizeof(Life) && sizeof(Outside) == 256);

// Between a store and a load that must not change places; neither release nor acquire forbids that.
inline void full_fence() noexcept {
#if SLUICE_THREAD_SANITIZER && !defined(__clang__)
  // ThreadSanitizer does not model fences, and g++ warns of it. No plain data is ordered by this one: all
  // words on either side are atomic.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
  std::atomic_thread_fence(
      std::memory_order_seq_cst);  // [sleep.fence] in fall_asleep() and Published::sleeps().
#if SLUICE_THREAD_SANITIZER && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
}

// Sleeper: says that it is about to block. Look at the cursors once more after this, then block or call
// wake_up(). False when its neighbours may not have heard it (far_fence.hpp): then block for a moment only.
[[nodiscard]] inline bool fall_asleep(Control& own) noexcept {
  bool heard = true;
  // relaxed, here and below: the fences order them.
  if (far_fences() && own.wakefulness.load(std::memory_order_relaxed) != Wakefulness::may_sleep) {
    // Of two threads that come here at a time none goes on before a far fence of its own.
    own.wakefulness.store(Wakefulness::about_to_sleep, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    heard = far_fence();  // [sleep.far_fence] pairs with Published::sleeps().
    if (heard) own.wakefulness.store(Wakefulness::may_sleep, std::memory_order_relaxed);
  }
  own.naps.store(own.naps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  own.sleeping.fetch_add(1, std::memory_order_relaxed);
  full_fence();  // [sleep.fence] pairs with Published::sleeps().
  return heard;
}
inline void wake_up(Control& own) noexcept {
  own.sleeping.fetch_sub(1, std::memory_order_relaxed);  // relaxed: a late 0 costs an idle ring.
}
// Will not sleep for a while: spares its neighbours their fences. Of a process in which one thread sleeps.
inline void stay_awake(Control& own) noexcept {
  // relaxed: seen late, it costs a fence.
  own.wakefulness.store(Wakefulness::awake, std::memory_order_relaxed);
}
// What a predecessor left behind when it died in its sleep.
inline void nobody_sleeps(Control& own) noexcept {
  own.sleeping.store(0, std::memory_order_relaxed);  // relaxed: as in wake_up().
  stay_awake(own);
}
inline bool sleeps(const Control& peer) noexcept {
  return peer.sleeping.load(std::memory_order_relaxed) != 0;  // relaxed: the fence orders it.
}

// Waker: made once cursors are published, to ask whom to ring.
class Published {
 public:
  Published() noexcept {
    // The cursors come before the looks, for the compiler; the far fence of a sleeper sees to the processor.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  bool sleeps(const Control& peer) noexcept {
    // relaxed: either the far fence was before this look, and it sees that the peer is may_sleep, or the peer
    // sees the cursors. [sleep.far_fence] pairs with fall_asleep().
    if (peer.wakefulness.load(std::memory_order_relaxed) == Wakefulness::awake && far_fences()) {
      return false;
    }
    if (!fenced_) full_fence();  // [sleep.fence] pairs with fall_asleep().
    fenced_ = true;
    return ipc::sleeps(peer);
  }

 private:
  bool fenced_ = false;
};

}  // namespace sluice::ipc
