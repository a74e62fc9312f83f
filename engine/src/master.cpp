#include "master.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "priority.hpp"
#include "worker_process.hpp"

namespace sluice {
namespace {

// Who an epoll event is about, beside the numbers of the workers.
constexpr std::uint64_t kBellEvent = ~std::uint64_t{0};
constexpr std::uint64_t kHostEvent = ~std::uint64_t{1};
constexpr std::uint64_t kStandbyEvent = ~std::uint64_t{2};
constexpr std::uint64_t kCoronerEvent = ~std::uint64_t{4};

// After one has been used, so that its replacement does not get in the way of the one that is needed.
constexpr std::chrono::nanoseconds kStandbyPause = std::chrono::microseconds{500};

RestartPolicy restart_policy(const Settings& settings) {
  return {settings.count("restart.budget"), settings.duration("restart.window"),
          settings.duration("restart.backoff"), settings.duration("restart.backoff_max"),
          settings.duration("restart.stable")};
}

}  // namespace

Master::Master(const Wiring& wiring, std::vector<pinning::Place> places, int host)
    : wiring_{wiring},
      places_{std::move(places)},
      host_{host},
      tick_{wiring.settings.duration("watchdog.tick")},
      report_path_{wiring.settings.text("report.path")} {}

void Master::run() {
  std::string failure;
  try {
    prepare_children();
    open_epoll();
    for (std::size_t worker = 0; worker < children_.size(); ++worker)
      start(worker);
    next_look_ = monotonic_now() + tick_;
    // relaxed: a word for people; what is acted on goes by the workers' own words.
    register_of(wiring_.layout, wiring_.segment).state.store(RunState::running, std::memory_order_relaxed);
    while (running_ > 0) {
      handle_events(time_to_sleep());
      start_due();
      prepare_standby();
      if (monotonic_now() >= next_look_) look_at_workers();
    }
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (!failure.empty()) end(RunState::failed, failure);
  end(RunState::finished, "");
}

void Master::prepare_children() {
  // What a terminal or a service manager sends to the whole group is meant for the host, which then drains.
  for (const int signal : {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGPIPE})
    std::signal(signal, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);
  ::prctl(PR_SET_NAME, "sluice-master");
  hurry();
  const RestartPolicy policy = restart_policy(wiring_.settings);
  constexpr int kStartsPerDeadline = 10;
  std::chrono::nanoseconds tick = tick_;
  for (std::size_t p = kFirstWorker; p < wiring_.layout.processes.size(); ++p) {
    Child child{policy};
    child.process = p;
    const std::string& stage = wiring_.graph.nodes[wiring_.layout.processes[p].node].name;
    child.limits.deadline = wiring_.settings.duration("watchdog.deadline", stage);
    child.limits.start_deadline = child.limits.deadline * kStartsPerDeadline;
    child.limits.late = std::max(child.limits.deadline / 2, 10 * tick_);
    child.limits.longest_wait = kLongestWait;
    tick = std::min(tick, tick_for(tick_, child.limits.deadline));
    idle_tick_ = std::min(idle_tick_, std::max(tick_, child.limits.deadline / 4));
    children_.push_back(std::move(child));
  }
  tick_ = tick;
  running_ = children_.size();
}

void Master::open_epoll() {
  epoll_ = Descriptor{::epoll_create1(EPOLL_CLOEXEC)};
  epoll_event bell{EPOLLIN, {.u64 = kBellEvent}};
  epoll_event host{EPOLLIN, {.u64 = kHostEvent}};
  if (epoll_.get() < 0 ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wiring_.bells[kMasterProcess].fd(), &bell) != 0 ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, host_, &host) != 0) {
    throw Error{{"watch over", wiring_.graph.name, errno_text(), ""}};
  }
  coroner_.show_in(epoll_.get(), kCoronerEvent);
}

std::chrono::nanoseconds Master::time_to_sleep() const {
  std::chrono::nanoseconds next = standby_.ready() ? next_look_ : std::min(next_look_, standby_due_);
  for (const Child& child : children_) {
    if (child.start_at) next = std::min(next, *child.start_at);
  }
  return std::max(next - monotonic_now(), std::chrono::nanoseconds{0});
}

void Master::handle_events(std::chrono::nanoseconds limit) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec timeout{seconds.count(), (limit - seconds).count()};
  epoll_event events[64];
  const int count = ::epoll_pwait2(epoll_.get(), events, std::size(events), &timeout, nullptr);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t about = events[i].data.u64;
    if (about == kHostEvent) {
      // Nobody is left to tell. The workers must not outlive the program they belong to.
      kill_all();
      ::_exit(1);
    }
    if (about == kBellEvent) {
      wiring_.bells[kMasterProcess].wait(std::chrono::nanoseconds{0});
      look_at_requests();
    } else if (about == kStandbyEvent) {
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, standby_.pidfd(), nullptr);
      standby_.give_up();
    } else if (about == kCoronerEvent) {
      hear_coroner();
    } else {
      on_death(static_cast<std::size_t>(about));
    }
  }
}

void Master::look_at_requests() {
  // [host.requests] acquire: pairs with the host's store before it rang.
  if (requests_of(wiring_.layout, wiring_.segment).stop.load(std::memory_order_acquire) == 0) return;
  kill_all();
  end(RunState::stopped, "");
}

void Master::start_due() {
  const auto now = monotonic_now();
  for (std::size_t worker = 0; worker < children_.size(); ++worker) {
    if (children_[worker].start_at && *children_[worker].start_at <= now) start(worker);
  }
}

void Master::start(std::size_t worker) {
  Child& child = children_[worker];
  child.start_at.reset();
  pid_t pid = 0;
  int operation = EPOLL_CTL_MOD;
  if (standby_.assign(worker, pid, child.pidfd)) {
    standby_due_ = monotonic_now() + kStandbyPause;
  } else {
    pid = fork_worker(worker);
    operation = EPOLL_CTL_ADD;
  }
  if (pid > 0) {
    failed_forks_ = 0;
    watch_over(worker, pid, operation);
  } else {
    // Out of processes or memory, perhaps for a moment only.
    constexpr auto kRetry = std::chrono::milliseconds{10};
    constexpr unsigned kMostRetries = 500;
    if (++failed_forks_ > kMostRetries) {
      throw Error{{"fork", wiring_.layout.processes[child.process].name, errno_text(),
                   "raise the limit of processes (ulimit -u) or give the machine more memory"}};
    }
    child.start_at = monotonic_now() + kRetry;
  }
}

pid_t Master::fork_worker(std::size_t worker) {
  Child& child = children_[worker];
  const pid_t master = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    // Without its master a worker would be left running for ever.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != master) ::_exit(1);
    run_worker(wiring_, places_[worker], child.process);
  }
  if (pid > 0) child.pidfd = open_pidfd(pid);
  return pid;
}

void Master::watch_over(std::size_t worker, pid_t pid, int epoll_operation) {
  Child& child = children_[worker];
  const RegionView view = view_of(wiring_.layout, wiring_.segment, child.process);
  const auto now = monotonic_now();
  child.pid = pid;
  child.born = now;
  // relaxed here and below: words of a worker that is not to be trusted anyway, or words for people.
  child.committed_at_birth = view.commit->committed.load(std::memory_order_relaxed);
  child.watch = Watch{now, view.control->progress.load(std::memory_order_relaxed)};
  child.ended_by_watchdog = false;
  child.sentenced_at.reset();
  epoll_event event{EPOLLIN, {.u64 = worker}};
  if (::epoll_ctl(epoll_.get(), epoll_operation, child.pidfd.get(), &event) != 0) {
    throw Error{{"watch", wiring_.layout.processes[child.process].name, errno_text(), ""}};
  }
  // [entry.pid] release: pairs with Engine::signal_worker().
  entry_of(wiring_.layout, wiring_.segment, worker).pid.store(pid, std::memory_order_release);
}

void Master::prepare_standby() {
  if (standby_.ready() || monotonic_now() < standby_due_) return;
  const auto become = [this](std::size_t worker) {
    run_worker(wiring_, places_[worker], children_[worker].process);
  };
  standby_due_ = monotonic_now() + kStandbyPause;
  if (!standby_.prepare(become)) return;
  epoll_event event{EPOLLIN, {.u64 = kStandbyEvent}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, standby_.pidfd(), &event) != 0) standby_.give_up();
}

void Master::on_death(std::size_t worker) {
  Child& child = children_[worker];
  const auto now = monotonic_now();
  WorkerEntry& entry = entry_of(wiring_.layout, wiring_.segment, worker);
  // [entry.pid] release: the pid is withdrawn before it is reaped, so that whoever still reads it after
  // opening a pidfd holds the right process; pairs with
  // Engine::signal_worker().
  entry.pid.store(0, std::memory_order_release);
  siginfo_t info{};
  if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(child.pidfd.get()), &info, WEXITED) != 0)
    return;
  // Closing is not enough: the other workers inherited the description, and epoll would go on reporting it.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, child.pidfd.get(), nullptr);
  child.pidfd.reset();
  child.pid = 0;
  const bool exited = info.si_code == CLD_EXITED;
  const RegionView view = view_of(wiring_.layout, wiring_.segment, child.process);
  const std::uint32_t incarnation = view.control->incarnation.load(std::memory_order_relaxed);
  entry.noticed_ns[incarnation % ipc::kLivesKept].store(now.count(), std::memory_order_relaxed);
  if (exited && info.si_status == kExitFinished &&
      view.cursors[kFinished].load(std::memory_order_relaxed) != 0) {
    entry.done.store(1, std::memory_order_relaxed);
    --running_;
    return;
  }
  if (exited && info.si_status == kExitHopeless) {
    end(RunState::failed,
        fmt::format(
            "{}: {}", wiring_.layout.processes[child.process].name,
            std::string_view{view.control->message, ::strnlen(view.control->message, ipc::kMessageBytes)}));
  }
  entry.last_signal.store(exited ? 0 : info.si_status, std::memory_order_relaxed);
  entry.verdict.store(static_cast<std::uint32_t>(Verdict::dead), std::memory_order_relaxed);
  replace(worker, exited ? 256 + info.si_status : info.si_status);
}

void Master::replace(std::size_t worker, int status) {
  Child& child = children_[worker];
  const RegionView view = view_of(wiring_.layout, wiring_.segment, child.process);
  const auto now = monotonic_now();
  const ipc::Activity activity = view.control->activity.load(std::memory_order_relaxed);
  const bool achieved = view.commit->committed.load(std::memory_order_relaxed) != child.committed_at_birth ||
                        activity == ipc::Activity::idle || activity == ipc::Activity::full;
  const auto delay = child.budget.on_death(now, now - child.born, achieved, random_());
  if (!delay) end(RunState::failed, death_report(worker, status));
  WorkerEntry& entry = entry_of(wiring_.layout, wiring_.segment, worker);
  entry.restarts.store(entry.restarts.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  child.start_at = now + *delay;
  if (delay->count() == 0) start(worker);
}

std::string Master::death_report(std::size_t worker, int status) const {
  const Child& child = children_[worker];
  const ipc::Control& control = *view_of(wiring_.layout, wiring_.segment, child.process).control;
  std::string cause;
  if (child.ended_by_watchdog) {
    cause = "the watchdog ended it: no progress within watchdog.deadline";
  } else if (status >= 256) {
    cause = fmt::format("it ended with status {}", status - 256);
    if (status - 256 == kExitHandlerThrew) {
      cause = fmt::format("its handler threw: {}",
                          std::string_view{control.message, ::strnlen(control.message, ipc::kMessageBytes)});
    }
  } else {
    cause = fmt::format("signal {} ({})", status, ::strsignal(status));
  }
  return fmt::format(
      "{} died {} times within restart.window, the last time in the event with progress word {:#x}: {}; "
      "mend its handler or raise restart.budget",
      wiring_.layout.processes[child.process].name, wiring_.settings.count("restart.budget") + 1,
      control.progress.load(std::memory_order_relaxed), cause);
}

void Master::kill_all() noexcept {
  standby_.give_up();
  for (Child& child : children_) {
    if (child.pid == 0) continue;
    send_signal(child.pidfd, SIGKILL);
    siginfo_t info{};
    ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(child.pidfd.get()), &info, WEXITED);
    child.pid = 0;
  }
}

void Master::end(RunState state, const std::string& message) {
  kill_all();
  // The last report is the one that says why.
  coroner_.finish(std::chrono::seconds{2});
  MasterRegister& own = register_of(wiring_.layout, wiring_.segment);
  std::snprintf(own.message, sizeof(own.message), "%s", message.c_str());
  // [master.state] release: the message before the state; pairs with Host::state().
  own.state.store(state, std::memory_order_release);
  wiring_.bells[kHostProcess].ring();
  ::_exit(state == RunState::finished || state == RunState::stopped ? 0 : 1);
}

}  // namespace sluice
