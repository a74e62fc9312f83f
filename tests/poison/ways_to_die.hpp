// SPDX-License-Identifier: Apache-2.0
// The ways in which a handler ends its process: what is blamed on its event.
#pragma once

#include <csignal>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "pipelines.hpp"

namespace sluice::test {

enum class Way {
  bad_access,
  abort,
  bus,
  illegal,
  trap,
  timer,
  exception,
  no_exception,
  bad_alloc,
  exit,
  terminate,
  stack,
  spin,
  sleep
};

struct Deadly {
  Way way;
  const char* name;
  int signal;         // 0: none.
  const char* cause;  // Part of what the letter says.
};

inline constexpr Deadly kWays[] = {
    {Way::bad_access, "BadAccess", SIGSEGV, "signal 11"},
    {Way::abort, "Abort", SIGABRT, "signal 6"},
    {Way::bus, "BusError", SIGBUS, "signal 7"},
    {Way::illegal, "IllegalInstruction", SIGILL, "signal 4"},
    {Way::trap, "Breakpoint", SIGTRAP, "signal 5"},
    {Way::timer, "Timer", SIGALRM, "signal 14"},
    {Way::exception, "Exception", 0, "its handler threw: this event is not for me"},
    {Way::no_exception, "ThrownNumber", 0, "its handler threw: the handler threw something"},
    {Way::bad_alloc, "BadAlloc", 0, "out of memory: std::bad_alloc"},
    {Way::exit, "Exit", 0, "ended with status 0"},
    {Way::terminate, "Terminate", SIGABRT, "signal 6"},
    {Way::stack, "StackOverflow", SIGSEGV, "signal 11"},
    {Way::spin, "Spin", SIGKILL, "watchdog ended it"},
    {Way::sleep, "Sleep", SIGKILL, "watchdog ended it"},
};

inline volatile int zero = 0;

[[gnu::noinline]] inline int endless_recursion(volatile char* caller) {
  volatile char frame[4096];
  frame[0] = caller == nullptr ? '\0' : *caller;
  if (zero != 0) return 0;  // Never: but the compiler must not know.
  return endless_recursion(frame) + frame[0];
}

inline void touch_beyond_the_file() {
  const int fd = ::memfd_create("short", MFD_CLOEXEC);
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  *static_cast<volatile char*>(page) = 1;
}

// Not a null pointer, which a sanitizer would not let through.
inline void touch_what_is_nobodys() {
  void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *static_cast<volatile char*>(page) = 1;
}

// As a check that has failed ends a program where code is hardened so; what stands behind it is not to be run.
inline void break_off() {
#ifdef __x86_64__
  __asm__ volatile("int3");
#else
  ::raise(SIGTRAP);
#endif
}

// A worker ignores it, until a library takes the default for it.
inline void run_out_of_time() {
  std::signal(SIGALRM, SIG_DFL);
  const itimerval soon{{0, 0}, {0, 1}};
  ::setitimer(ITIMER_REAL, &soon, nullptr);
  while (true)
    ::pause();
}

[[gnu::noinline]] inline void die(Way way) {
  switch (way) {
    case Way::bad_access:
      touch_what_is_nobodys();
      break;
    case Way::abort:
      std::abort();
    case Way::bus:
      touch_beyond_the_file();
      break;
    case Way::illegal:
      __builtin_trap();
    case Way::trap:
      break_off();
      break;
    case Way::timer:
      run_out_of_time();
      break;
    case Way::exception:
      throw std::runtime_error{"this event is not for me"};
    case Way::no_exception:
      throw 7;
    case Way::bad_alloc:
      throw std::bad_alloc{};
    case Way::exit:
      std::_Exit(0);
    case Way::terminate:
      std::terminate();
    case Way::stack:
      endless_recursion(nullptr);
      break;
    case Way::spin:
      while (zero == 0) {
      }
      break;
    case Way::sleep:
      std::this_thread::sleep_for(1h);
  }
}

}  // namespace sluice::test
