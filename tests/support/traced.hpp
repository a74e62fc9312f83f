// SPDX-License-Identifier: Apache-2.0
// A process that this one follows by ptrace: from system call to system call, from instruction to instruction, or from store to
// store of one word; and kills where it stands. All by the thread that made it.
#pragma once

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <thread>
#include <utility>

namespace sluice::test {

class Traced {
 public:
  // It stands wherever it was.
  explicit Traced(pid_t process) : process_{process} {
    ended_ = process <= 1 || ::ptrace(PTRACE_SEIZE, process, nullptr, kOptions) != 0;
    refused_ = ended_ && errno == EPERM;
    if (!ended_ && ::ptrace(PTRACE_INTERRUPT, process, nullptr, nullptr) == 0) await_stop(kLongest);
  }
  // The next process that `of` forks once `cause` has run, before its first instruction. The parent goes on untraced.
  template <class Cause>
  Traced(pid_t of, Cause&& cause) {
    Traced parent{of};
    refused_ = parent.refused();
    ended_ = !parent.stands() || ::ptrace(PTRACE_SETOPTIONS, of, nullptr, kOptions | PTRACE_O_TRACEFORK) != 0;
    if (ended_) return;
    cause();
    constexpr int kForked = SIGTRAP | PTRACE_EVENT_FORK << 8;
    do {
      parent.go_on(PTRACE_CONT);
    } while (parent.arrived() && parent.stop_ != kForked);
    unsigned long child = 0;
    ended_ = parent.ended_ || ::ptrace(PTRACE_GETEVENTMSG, of, nullptr, &child) != 0;
    process_ = static_cast<pid_t>(child);
    parent.let_go();
    // It has the options of its parent, and its children would stand, too.
    if (!ended_ && await_stop(kLongest)) ::ptrace(PTRACE_SETOPTIONS, process_, nullptr, kOptions);
  }
  ~Traced() { kill(); }
  Traced(const Traced&) = delete;
  Traced& operator=(const Traced&) = delete;

  // It may wait for something meanwhile.
  static constexpr std::chrono::seconds kLongest{20};

  // This process may not follow another.
  bool refused() const noexcept { return refused_; }
  bool stands() const noexcept { return stands_; }
  bool ended() const noexcept { return ended_; }
  // On to before the next system call or behind it, behind the next instruction, or behind the next store that is watched. It stands
  // there once arrived() says so, which waits for `limit`: it may have to wait for something.
  void to_next_call() { go_on(PTRACE_SYSCALL); }
  void to_next_instruction() { go_on(PTRACE_SINGLESTEP); }
  void to_next_store() { go_on(PTRACE_CONT); }
  bool arrived(std::chrono::nanoseconds limit = kLongest) {
    while (!stands_ && !ended_ && await_stop(limit)) {
      // A signal of its own is handed on, and nothing that was asked for.
      if (signal_ != 0) go_on(how_);
    }
    return stands_;
  }
  // To be called while it stands: to_next_store() comes behind each store into the eight bytes at `address`. False: no such thing here.
  bool watch([[maybe_unused]] std::uintptr_t address) {
#if defined(__x86_64__)
    // Of local use, a write, eight bytes: the debug register DR7 has these bits for the address in DR0.
    constexpr unsigned long kWritesOfEightBytes = 1UL | 0b01UL << 16U | 0b10UL << 18U;
    return set_debug_register(0, address) && set_debug_register(7, kWritesOfEightBytes);
#else
    return false;
#endif
  }
  // It goes on, and is followed no more.
  void let_go() {
    if (stands_) ::ptrace(PTRACE_DETACH, process_, nullptr, nullptr);
    ended_ = true;
  }
  void kill() {
    if (ended_) return;
    ::kill(process_, SIGKILL);
    int status = 0;
    while (::waitpid(process_, &status, __WALL) == process_ && WIFSTOPPED(status)) {
    }
    stands_ = false;
    ended_ = true;
  }

 private:
#if defined(__x86_64__)
  bool set_debug_register(std::size_t number, unsigned long value) const {
    const std::size_t offset = offsetof(struct user, u_debugreg) + number * sizeof(value);
    return ::ptrace(PTRACE_POKEUSER, process_, offset, value) == 0;
  }
#endif

  void go_on(__ptrace_request how) {
    if (!stands_) return;
    how_ = how;
    stands_ = false;
    ended_ = ::ptrace(how, process_, nullptr, std::exchange(signal_, 0)) != 0;
  }
  bool await_stop(std::chrono::nanoseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    int status = 0;
    pid_t stopped = 0;
    for (unsigned looks = 0; (stopped = ::waitpid(process_, &status, __WALL | WNOHANG)) == 0; ++looks) {
      if (std::chrono::steady_clock::now() > until) return false;
      // The next instruction is there at once, the next call soon.
      if (looks > kLooksAtOnce) std::this_thread::sleep_for(std::chrono::microseconds{20});
    }
    if (stopped != process_ || !WIFSTOPPED(status)) {
      ended_ = true;
      return false;
    }
    // Neither a call, a step, a store nor the interrupt: a signal, which is its own.
    const bool ours = (static_cast<unsigned>(WSTOPSIG(status)) & 0x7fU) == SIGTRAP;
    signal_ = ours ? 0 : WSTOPSIG(status);
    stop_ = status >> 8;
    stands_ = true;
    return true;
  }

  static constexpr unsigned kLooksAtOnce = 200;
  static constexpr long kOptions = PTRACE_O_TRACESYSGOOD;

  pid_t process_ = 0;
  __ptrace_request how_ = PTRACE_CONT;
  int stop_ = 0;    // Why it stands: a signal, and which event.
  int signal_ = 0;  // That it is to get when it goes on.
  bool stands_ = false;
  bool refused_ = false;
  bool ended_ = false;
};

}  // namespace sluice::test
