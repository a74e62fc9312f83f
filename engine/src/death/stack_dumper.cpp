// SPDX-License-Identifier: Apache-2.0
#include "death/stack_dumper.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/detail/process_name.hpp>
#include <sluice/detail/scheduling.hpp>

#include "death/backtrace.hpp"
#include "death/kill_child.hpp"

namespace sluice::detail {

struct StackDumper::Task {
  std::string_view fields;
  std::span<const std::uintptr_t> addresses{};
  pid_t pid = 0;  // Whose stacks are taken; 0 for the names of `addresses`.
  int pidfd = -1;
};

namespace {

enum DumperStatus : int { kReported = 0, kFailed = 1 };

// The one byte that either side sends.
enum Word : char { kCaptured = 'c', kKilled = 'k', kSpared = 's' };

bool is_dead(int pidfd) noexcept {
  pollfd entry{pidfd, POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

void make_independent() noexcept {
  set_process_name(kStackDumperName);
  // A debug library that asks a server would keep a worker waiting for its end.
  ::unsetenv("DEBUGINFOD_URLS");
  for (int signal = 1; signal < NSIG; ++signal)
    std::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  // A stack that is out of order may lead the unwinder anywhere.
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  constexpr auto kSeconds = std::chrono::duration_cast<std::chrono::seconds>(StackDumper::kLimit);
  const itimerval end{{0, 0}, {kSeconds.count(), 0}};
  ::setitimer(ITIMER_REAL, &end, nullptr);
}

// In the dumper, while the process stands still. True when the master says that it lets it live.
bool ask_master(int channel) noexcept {
  char word = kCaptured;
  if (::send(channel, &word, 1, MSG_NOSIGNAL) != 1) return false;
  pollfd answer{channel, POLLIN, 0};
  ::poll(&answer, 1, static_cast<int>(StackDumper::kAnswer.count()));
  return ::recv(channel, &word, 1, MSG_DONTWAIT) == 1 && word == kSpared;
}

// In the dumper: the field `stacks`.
std::string stacks_field(pid_t pid, int pidfd, int channel) {
  if (is_dead(pidfd)) return json_lines("stacks", "it is gone\n");
  // The kill waits for the capture; what is left is for the names, which no process waits for.
  constexpr std::chrono::milliseconds kMargin{100};
  bool spared = false;
  const std::string stacks = stacks_of(pid, StackDumper::kCapture - kMargin, [&] {
    spared = ask_master(channel);
    take_ease(Sharing::alone);
  });
  return json_lines("stacks", stacks) + (spared ? ",\"spared\":true" : "");
}

}  // namespace

void StackDumper::show_in(int epoll, std::uint64_t event) noexcept {
  epoll_ = epoll;
  event_ = event;
}

void StackDumper::report_backtrace(std::string_view fields,
                                   std::span<const std::uintptr_t> addresses) noexcept {
  if (start({.fields = fields, .addresses = addresses})) return;
  log_.append(fields, json_lines("backtrace", places_of(addresses)));
}

bool StackDumper::dump(std::string_view fields, pid_t pid, int pidfd) noexcept {
  if (start({.fields = fields, .pid = pid, .pidfd = pidfd})) return true;
  log_.append(fields, "\"stacks\":[\"too much was going on\"]");
  return false;
}

// False when too many are at work already, or there is no process or descriptor to be had.
bool StackDumper::start(const Task& task) noexcept {
  const auto free =
      std::find_if(at_work_.begin(), at_work_.end(), [](const AtWork& each) { return !each.pidfd; });
  if (free == at_work_.end()) return false;
  int ends[2] = {-1, -1};
  if (task.pid != 0 && ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
  Descriptor own{ends[0]};
  const Descriptor other{ends[1]};
  const pid_t master = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    own.reset();
    make_independent();
    if (task.pid != 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != master) ::_exit(kFailed);
    } else {
      // The death is told, whatever becomes of the master.
      take_ease(Sharing::alone);
      let_go_();
    }
    bool written = false;
    try {
      const std::string more = task.pid != 0 ? stacks_field(task.pid, task.pidfd, other.get())
                                             : json_lines("backtrace", symbolize(task.addresses));
      written = log_.try_to_append(task.fields, more);
    } catch (const std::exception&) {
      // The master writes the line.
    }
    ::_exit(written ? kReported : kFailed);
  }
  if (pid < 0) return false;
  *free = {Descriptor{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))}, std::move(own), task.pid,
           std::string{task.fields}};
  if (free->pidfd && watch(*free)) return true;
  kill_child(pid);
  ::waitpid(pid, nullptr, 0);
  *free = {};
  return false;
}

bool StackDumper::watch(const AtWork& at_work) const noexcept {
  if (epoll_ < 0) return true;
  epoll_event event{EPOLLIN, {.u64 = event_}};
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, at_work.pidfd.get(), &event) != 0) return false;
  if (!at_work.channel) return true;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, at_work.channel.get(), &event) == 0) return true;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, at_work.pidfd.get(), nullptr);
  return false;
}

std::optional<StackDumper::Event> StackDumper::next_event() noexcept {
  for (AtWork& each : at_work_) {
    if (!each.pidfd) continue;
    char word = 0;
    const ssize_t got = each.channel ? ::recv(each.channel.get(), &word, 1, MSG_DONTWAIT) : -1;
    // It says no more than that: its end shows by the pidfd, and what it leaves open must not wake the
    // master.
    if (got >= 0 && epoll_ >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, each.channel.get(), nullptr);
    if (got == 1 && word == kCaptured) return Event{What::captured, each.subject};
    if (!is_dead(each.pidfd.get())) continue;
    const pid_t subject = each.subject;
    reap(each);
    return Event{What::ended, subject};
  }
  return std::nullopt;
}

void StackDumper::answer(pid_t pid, bool killed) noexcept {
  for (const AtWork& each : at_work_) {
    if (!each.pidfd || !each.channel || each.subject != pid) continue;
    const char word = killed ? kKilled : kSpared;
    // A dumper that does not wait for it any more is over by itself.
    [[maybe_unused]] const ssize_t sent = ::send(each.channel.get(), &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

void StackDumper::reap(AtWork& at_work) noexcept {
  siginfo_t info{};
  const bool reaped =
      ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(at_work.pidfd.get()), &info, WEXITED) == 0;
  // Closing is not enough: the workers inherited the descriptions, and epoll would go on reporting them.
  if (epoll_ >= 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, at_work.pidfd.get(), nullptr);
  if (epoll_ >= 0 && at_work.channel) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, at_work.channel.get(), nullptr);
  if (!reaped || info.si_code != CLD_EXITED || info.si_status != kReported)
    log_.append(at_work.fields, "\"stacks\":[\"the examination did not end in time\"]");
  at_work = {};
}

void StackDumper::finish(std::chrono::milliseconds limit) noexcept {
  const auto until = std::chrono::steady_clock::now() + limit;
  for (AtWork& each : at_work_) {
    if (!each.pidfd) continue;
    answer(each.subject, true);  // None of them waits for it any more.
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd entry{each.pidfd.get(), POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    send_signal(each.pidfd, SIGKILL);
    reap(each);
  }
}

}  // namespace sluice::detail
