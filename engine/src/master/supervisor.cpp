// SPDX-License-Identifier: Apache-2.0
#include "master/supervisor.hpp"

#include <csignal>
#include <ctime>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/process_name.hpp>
#include <sluice/detail/scheduling.hpp>
#include <sluice/detail/signals.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/bind.hpp>

#include "log/log.hpp"
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

// Forks the process that writes the log out. Without one, for a moment, lines wait for it.
pid_t start_log_writer(const Command& command, const Descriptor& supervisor) noexcept {
  if (!command.log.is_open()) return 0;
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  take_ease(Sharing::alone);
  // One that is held up outlives the pipeline: it keeps neither the memory nor the file that the next start goes on with.
  command.wiring.segment().unmap();
  command.log.write_out(supervisor);
  ::_exit(0);
}

// A master that somebody has stopped (SIGSTOP). Its workers go on, so nobody else would see that nothing that dies is replaced. Whoever
// stops and continues it at once, as a terminal does with all of a program, is no news.
class StoppedMaster {
 public:
  explicit StoppedMaster(const Command& command) : command_{command} {}

  // What waitid() says of it.
  void note(const siginfo_t& info) noexcept {
    const auto now = monotonic_now();
    if (info.si_code == CLD_STOPPED && since_.count() == 0) since_ = now;
    if (info.si_code != CLD_CONTINUED || since_.count() == 0) return;
    if (told_)
      tell(LogLevel::warning, fmt::format("the master, process {}, goes on after {:.1f} s", info.si_pid,
                                          std::chrono::duration<double>(now - since_).count()));
    since_ = {};
    told_ = false;
  }
  // Whether it is to be looked at again in a moment.
  bool is_pending() const noexcept { return since_.count() != 0 && !told_; }
  void look(pid_t master) noexcept {
    if (!is_pending() || monotonic_now() - since_ < kWorthALine) return;
    told_ = true;
    tell(LogLevel::warning, fmt::format("the master, process {}, was stopped by a signal: until it goes on "
                                        "(kill -CONT {}) no worker that "
                                        "dies is replaced, and no checkpoint is made",
                                        master, master));
  }

 private:
  static constexpr std::chrono::seconds kWorthALine{1};

  void tell(LogLevel level, const std::string& text) noexcept {
    Log log{command_.log, command_.wiring.settings().log, command_.wiring.graph().name};
    log.say(level, "master", {}, text);
  }

  const Command& command_;
  std::chrono::nanoseconds since_{0};  // 0: nobody has.
  bool told_ = false;
};

// Reaps all children that die, until the master is among them; whether it was killed. A log writer that is killed
// has a successor.
bool await_end_of(pid_t master, pid_t& log_writer, const Command& command,
                  const Descriptor& supervisor) noexcept {
  constexpr int kNews = WEXITED | WSTOPPED | WCONTINUED;
  constexpr std::chrono::milliseconds kBetweenLooks{10};
  StoppedMaster stopped{command};
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, kNews | (stopped.is_pending() ? WNOHANG : 0)) != 0) {
      if (errno == ECHILD) return true;  // It cannot be: it is this process's child until it is reaped here.
      continue;
    }
    if (info.si_pid == 0) {
      pause_for(kBetweenLooks);
      stopped.look(master);
      continue;
    }
    if (info.si_code == CLD_STOPPED || info.si_code == CLD_CONTINUED || info.si_code == CLD_TRAPPED) {
      if (info.si_pid == master) stopped.note(info);
      continue;
    }
    const bool was_killed = info.si_code == CLD_KILLED && info.si_status == SIGKILL;
    // One that ends by itself is refused what it needs, and so would the next one be, again and again.
    if (info.si_pid == log_writer) log_writer = was_killed ? start_log_writer(command, supervisor) : 0;
    if (info.si_pid == master) return was_killed;
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
  // To the whole process group they were sent for the host, which may ignore them. What the processor raises ends this process all the same.
  for (const int signal : {SIGTRAP, SIGXCPU, SIGSYS})
    std::signal(signal, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ,
              SIG_IGN);  // A report that is too large for a limit of files is lost, and no master with it.
  if (wiring.settings().master_priority == MasterPriority::raised) hurry();
}

void become_supervisor(const Command& command) noexcept {
  begin_command_lines(command.wiring.graph().name);
  set_process_name(kSupervisorName);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  command.wiring.segment().own_nothing();
  command.wiring.segment().unmap_rings();
}

void tell_of_takeover(const Command& command) {
  Log log{command.log, command.wiring.settings().log, command.wiring.graph().name};
  log.say(LogLevel::warning, "supervisor", {}, "the supervisor died, and the master has taken its place");
}

// In the new master. Returns when its supervisor is dead.
void be_master(const Command& command, const Master::Parent& supervisor) noexcept {
  set_process_name(kMasterName);
  command.wiring.own(kMasterProcess);
  Master{
      command.wiring, command.placement, command.lifeline,           command.observer_socket,
      command.log,    command.claim,     command.checkpoints_locked, {command.host, command.host_line.fd()},
      supervisor}
      .run();
}

// What a supervisor knows; one that was a master begins anew.
struct Known {
  unsigned crashes = 0;  // Of masters, in a row.
  pid_t log_writer = 0;  // 0 while there is none.
};

// To the death of the master that it forks, and in that master to the death of its supervisor.
bool fork_master(const Command& command, Known& known) {
  const Descriptor pidfd = open_pidfd(::getpid());
  const Master::Parent self{::getpid(), pidfd};
  const auto start = monotonic_now();
  if (known.log_writer <= 0) known.log_writer = start_log_writer(command, pidfd);
  const pid_t pid = ::fork();
  if (pid < 0) return false;
  if (pid == 0) {
    be_master(command, self);
    become_supervisor(command);
    known = {};
    tell_of_takeover(command);
    return true;
  }
  const bool killed = await_end_of(pid, known.log_writer, command, pidfd);
  if (pipeline_over(command.wiring)) {
    command.log.let_go();  // All is said, and the log writer ends.
    await_orphans();
    ::_exit(0);
  }
  known.crashes = killed || monotonic_now() - start > kStable ? 0 : known.crashes + 1;
  if (known.crashes > kMostCrashes) ::_exit(kExitMastersCrash);
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
  Known known;
  for (int failures = 0; failures < kMostRetries;) {
    bool forked = false;
    try {
      forked = fork_master(command, known);
    } catch (const Error&) {
      // Out of descriptors, processes or memory, perhaps for a moment only.
    }
    failures = forked ? 0 : failures + 1;
    if (!forked) pause_for(kRetry);
  }
  ::_exit(kExitNoMaster);
}

}  // namespace sluice::detail
