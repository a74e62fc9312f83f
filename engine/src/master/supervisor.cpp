// SPDX-License-Identifier: Apache-2.0
#include "master/supervisor.hpp"

#include <csignal>
#include <ctime>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/detail/process_name.hpp>
#include <sluice/detail/scheduling.hpp>
#include <sluice/detail/signals.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/bind.hpp>

#include "master/master.hpp"

namespace sluice::detail {
namespace {

// A master that crashes by itself, and not by a signal from outside, would do so for ever.
constexpr unsigned kMostCrashes = 5;
constexpr std::chrono::seconds kStable{1};

void pause_for(std::chrono::milliseconds time) noexcept {
  const timespec pause{0, std::chrono::nanoseconds{time}.count()};
  ::nanosleep(&pause, nullptr);
}

bool pipeline_over(const Wiring& wiring) noexcept {
  // [master.state] acquire: pairs with Master::end().
  return is_over(wiring.master().state.load(std::memory_order_acquire));
}

// Reaps all children that die, until the master is among them; whether it was killed.
bool await_end_of(pid_t master) noexcept {
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED) != 0) {
      if (errno == ECHILD) return true;  // It cannot be: it is this process's child until it is reaped here.
      continue;
    }
    if (info.si_pid == master) return info.si_code == CLD_KILLED && info.si_status == SIGKILL;
  }
}

// What a master had forked when it died, and had not written down, dies with it: gone before this process is.
void await_orphans() noexcept {
  constexpr int kLooks = 100;
  for (int look = 0; look < kLooks; ++look) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0) return;
    if (info.si_pid == 0) pause_for(std::chrono::milliseconds{1});
  }
}

void prepare(const Wiring& wiring) noexcept {
  leave_the_hosts_signals();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ,
              SIG_IGN);  // A report that is too large for a limit of files is lost, and no master with it.
  if (wiring.settings().master_priority == MasterPriority::raised) hurry();
}

void become_supervisor(const Command& command) noexcept {
  set_process_name(kSupervisorName);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  command.wiring.segment().own_nothing();
}

// In the new master. Returns when its supervisor is dead.
void be_master(const Command& command, const Master::Parent& supervisor) noexcept {
  set_process_name(kMasterName);
  command.wiring.own(kMasterProcess);
  Master{command.wiring,
         command.placement.workers,
         command.lifeline,
         command.observer_socket,
         {command.host, command.host_line.fd()},
         supervisor}
      .run();
}

// To the death of the master that it forks, and in that master to the death of its supervisor.
bool fork_master(const Command& command, unsigned& crashes) {
  const Descriptor pidfd = open_pidfd(::getpid());
  const Master::Parent self{::getpid(), pidfd};
  const auto start = monotonic_now();
  const pid_t pid = ::fork();
  if (pid < 0) return false;
  if (pid == 0) {
    be_master(command, self);
    become_supervisor(command);
    crashes = 0;
    return true;
  }
  const bool killed = await_end_of(pid);
  if (pipeline_over(command.wiring)) {
    await_orphans();
    ::_exit(0);
  }
  crashes = killed || monotonic_now() - start > kStable ? 0 : crashes + 1;
  if (crashes > kMostCrashes) ::_exit(kExitMastersCrash);
  return true;
}

}  // namespace

void run_supervisor(const Command& command) noexcept {
  constexpr int kMostRetries = 500;
  constexpr auto kRetry = std::chrono::milliseconds{10};
  command.host_line.let_go();
  prepare(command.wiring);
  // A place that the kernel does not grant is reported by the host.
  pinning::bind_this_process(command.placement.plan.master);
  become_supervisor(command);
  unsigned crashes = 0;
  for (int failures = 0; failures < kMostRetries;) {
    bool forked = false;
    try {
      forked = fork_master(command, crashes);
    } catch (const Error&) {
      // Out of descriptors, processes or memory, perhaps for a moment only.
    }
    failures = forked ? 0 : failures + 1;
    if (!forked) pause_for(kRetry);
  }
  ::_exit(kExitNoMaster);
}

}  // namespace sluice::detail
