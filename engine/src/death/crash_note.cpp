// SPDX-License-Identifier: Apache-2.0
#include "death/crash_note.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <unistd.h>

#include <sluice/detail/progress.hpp>
#include <sluice/ipc/framing.hpp>

#include "death/children.hpp"
#include "death/own_code.hpp"

namespace sluice::detail {

// A core dump has it since it is memory of this process alone; docs/reliability.md says how it is read.
struct EventInHand {
  char mark[24];  // "sluice event in hand", for those who have no symbols.
  std::uint64_t lane;
  std::uint64_t position;
  std::uint64_t event_bytes;  // All of it,
  std::uint64_t kept_bytes;   // and what of it stands here.
  std::byte bytes[std::size_t{64} << 10];
};

}  // namespace sluice::detail

// Kept although nothing reads it, and under a name that a debugger finds.
extern "C" {
[[gnu::used]] sluice::detail::EventInHand sluice_event_in_hand;
}

namespace sluice::detail {
namespace {

// Of this process; a signal handler has no other way to know them.
CrashNote* own_note = nullptr;
const ipc::Control* own_control = nullptr;
std::span<const LaneInHand> own_lanes;

constexpr int kCrashSignals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS, SIGTRAP};

// A handler that has used up its stack needs another one to say so. Enough for the unwinder.
constexpr std::size_t kCrashStackBytes = std::size_t{64} << 10;
alignas(16) std::byte crash_stack[kCrashStackBytes];

void write_note(CrashKind kind, int signal, std::uint64_t address) noexcept {
  // relaxed: read after the confirmed death of this process; the fences keep the compiler in order.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  CrashNote& note = *own_note;
  note.incarnation.store(0, kRelaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  note.kind.store(kind, kRelaxed);
  note.signal.store(signal, kRelaxed);
  note.event.store(own_control->progress.event.load(kRelaxed), kRelaxed);
  note.lane.store(own_control->progress.lane.load(kRelaxed), kRelaxed);
  note.address.store(address, kRelaxed);
  note.frame_count.store(0, kRelaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  note.incarnation.store(own_control->incarnation.load(kRelaxed), kRelaxed);
}

// What the progress words say is this process's own, and may be what is broken: all of it is checked.
void keep_event() noexcept {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const std::uint32_t lane = own_control->progress.lane.load(kRelaxed);
  const std::uint64_t word = own_control->progress.event.load(kRelaxed);
  if (lane >= own_lanes.size() || word == 0) return;
  const LaneInHand& in = own_lanes[lane];
  const std::uint64_t position = word - 1;
  const std::byte* at = in.ring + (position & (in.capacity_bytes - 1));
  std::uint64_t bytes = in.event_bytes;
  if (in.record) {
    std::memcpy(&bytes, at, sizeof(bytes));
    at += ipc::kRecordHeaderBytes;
  }
  if (bytes > in.capacity_bytes - (in.record ? ipc::kRecordHeaderBytes : 0)) return;
  EventInHand& kept = sluice_event_in_hand;
  kept.lane = lane;
  kept.position = position;
  kept.event_bytes = bytes;
  kept.kept_bytes = std::min<std::uint64_t>(bytes, sizeof(kept.bytes));
  std::memcpy(kept.bytes, at, kept.kept_bytes);
  std::memcpy(kept.mark, "sluice event in hand", 21);
}

// Last, because the stack may be what is broken: then the note stands without it.
void write_stack() noexcept {
  CrashNote& note = *own_note;
  void* frames[kFramesKept];
  const int count = ::backtrace(frames, static_cast<int>(kFramesKept));
  for (int i = 0; i < count; ++i)
    note.frames[i].store(as_in_master(reinterpret_cast<std::uintptr_t>(frames[i])),
                         std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  note.frame_count.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
}

void on_crash(int signal, siginfo_t* info, void*) {
  const bool sent = info->si_code <= 0;  // Not by the processor. Source: sigaction(2).
  const bool outside = sent && info->si_pid != ::getpid();
  if (is_child_of_worker()) {
    // It leaves no note: that is the worker's.
    if (!sent && is_workers_own(info->si_addr)) end_child();
  } else if (own_note != nullptr) {
    const std::uint64_t address = sent ? 0 : reinterpret_cast<std::uintptr_t>(info->si_addr);
    write_note(outside ? CrashKind::outside_signal : CrashKind::signal, signal, address);
    keep_event();
    if (!outside) write_stack();
  }
  // The disposition is the default again, and all these signals are blocked until this returns: several can
  // be sent at once, and the first one has its say. What the processor raised comes back at once, from where
  // it came from, which is what a core dump should show; what was sent must be sent again, and so must a breakpoint,
  // behind which the handler would go on.
  if (sent || signal == SIGTRAP) ::raise(signal);
}

}  // namespace

void leave_crash_notes(CrashNote& note, const ipc::Control& control,
                       std::span<const LaneInHand> lanes) noexcept {
  own_note = &note;
  own_control = &control;
  own_lanes = lanes;
  const stack_t stack{crash_stack, 0, sizeof(crash_stack)};
  ::sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  action.sa_flags = static_cast<int>(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (const int signal : kCrashSignals)
    sigaddset(&action.sa_mask, signal);
  for (const int signal : kCrashSignals)
    ::sigaction(signal, &action, nullptr);
}

void note_exception(CrashKind kind) noexcept {
  write_note(kind, 0, 0);
}

void prepare_crash_notes() noexcept {
  void* frame = nullptr;
  ::backtrace(&frame, 1);
}

}  // namespace sluice::detail
