// SPDX-License-Identifier: Apache-2.0
#include <csignal>

#include <sluice/detail/signals.hpp>

namespace sluice::detail {
namespace {

// Raised by what this process does itself, or harmless.
bool keeps_its_default(int signal) noexcept {
  switch (signal) {
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGSYS:
    case SIGPIPE:
    case SIGXCPU:
    case SIGXFSZ:
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
    case SIGTSTP:  // A job that a terminal stops is stopped as a whole.
    case SIGTTIN:
    case SIGTTOU:
      return true;
    default:
      return false;
  }
}

}  // namespace

void leave_the_hosts_signals() noexcept {
  // For SIGKILL and SIGSTOP, and the two that the C library keeps for itself, it fails, as it should.
  for (int signal = 1; signal <= SIGRTMAX; ++signal)
    std::signal(signal, keeps_its_default(signal) ? SIG_DFL : SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace sluice::detail
