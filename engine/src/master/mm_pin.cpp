// SPDX-License-Identifier: Apache-2.0
#include "master/mm_pin.hpp"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/process_name.hpp>
#include <sluice/detail/sanitizers.hpp>
#include <sluice/detail/scheduling.hpp>

namespace sluice::detail {

#if defined(__x86_64__) && !SLUICE_ADDRESS_SANITIZER && !SLUICE_THREAD_SANITIZER

namespace {

// The mm_pin runs on this, in the memory of the worker, which never touches it again.
constexpr std::size_t kStackBytes = 16384;
alignas(64) std::byte stack[kStackBytes];

// The C library's wrappers store errno, and that is the worker's: mm_pin and worker share it.
long bare_syscall(long number, long a = 0, long b = 0, long c = 0) noexcept {
  long result = number;
  // Source: the x86-64 ABI, appendix A.2.
  asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

// `told`: which descriptor tells of the worker's death.
int hold(void* told) {
  const int worker = *static_cast<const int*>(told);
  bare_syscall(SYS_prctl, PR_SET_NAME, reinterpret_cast<long>(kMmPinName.data()));
  // It would keep files and pipes open for longer than its worker lives.
  bare_syscall(SYS_close_range, 0, worker - 1, 0);
  bare_syscall(SYS_close_range, worker + 1, ~0U, 0);
  // To take the memory down is not urgent: those who are at work go first.
  constexpr int kPatientNice = 10;
  SchedulingAttributes patient;
  patient.policy = SCHED_BATCH;
  patient.nice = kPatientNice;
  bare_syscall(SYS_sched_setattr, 0, reinterpret_cast<long>(&patient), 0);
  pollfd death{worker, POLLIN, 0};
  while (bare_syscall(SYS_poll, reinterpret_cast<long>(&death), 1, -1) != 1) {
  }
  // By then the replacement is at work.
  const timespec pause{0, 2'000'000};
  bare_syscall(SYS_nanosleep, reinterpret_cast<long>(&pause), 0);
  bare_syscall(SYS_exit_group, 0);
  return 0;
}

}  // namespace

void start_mm_pin() noexcept {
  // Standing still, since the mm_pin reads it when it likes.
  static int pidfd = -1;
  // Not 0: everything below the descriptor is closed.
  pidfd = above_standard(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (pidfd <= 0) return;
  // A handler of signals would run in both, on the same memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  // No signal at its end: a handler that waits for children of its own never meets it.
  ::clone(hold, stack + kStackBytes, CLONE_VM, &pidfd);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  // The mm_pin has one of its own.
  ::close(pidfd);
}

#else

// A sanitizer's run-time keeps books in the memory and would find two processes in them.
void start_mm_pin() noexcept {}

#endif

}  // namespace sluice::detail
