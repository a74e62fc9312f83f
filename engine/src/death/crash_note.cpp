// SPDX-License-Identifier: Apache-2.0
#include "death/crash_note.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <execinfo.h>
#include <unistd.h>

namespace sluice::detail {
namespace {

// Of this process; a signal handler has no other way to know them.
CrashNote* own_note = nullptr;
const ipc::Control* own_control = nullptr;

constexpr int kCrashSignals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS};

// A handler that has used up its stack needs another one to say so. Enough for the unwinder.
constexpr std::size_t kStackBytes = std::size_t{64} << 10;
alignas(16) std::byte crash_stack[kStackBytes];

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

// Last, because the stack may be what is broken: then the note stands without it.
void write_stack() noexcept {
  CrashNote& note = *own_note;
  void* frames[kFramesKept];
  const int count = ::backtrace(frames, static_cast<int>(kFramesKept));
  for (int i = 0; i < count; ++i)
    note.frames[i].store(reinterpret_cast<std::uintptr_t>(frames[i]), std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  note.frame_count.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
}

void on_crash(int signal, siginfo_t* info, void*) {
  const bool sent = info->si_code <= 0;  // Not by the processor. Source: sigaction(2).
  const bool outside = sent && info->si_pid != ::getpid();
  if (own_note != nullptr) {
    const std::uint64_t address = sent ? 0 : reinterpret_cast<std::uintptr_t>(info->si_addr);
    write_note(outside ? CrashKind::outside_signal : CrashKind::signal, signal, address);
    if (!outside) write_stack();
  }
  // The disposition is the default again, and all these signals are blocked until this returns: several can
  // be sent at once, and the first one has its say. What the processor raised comes back at once, from where
  // it came from, which is what a core dump should show; what was sent must be sent again.
  if (sent) ::raise(signal);
}

}  // namespace

void leave_crash_notes(CrashNote& note, const ipc::Control& control) noexcept {
  own_note = &note;
  own_control = &control;
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
