// SPDX-License-Identifier: Apache-2.0
#include "master/master.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "master/mm_pin.hpp"
#include "master/newborn.hpp"
#include "worker/worker_process.hpp"

namespace sluice::detail {
namespace {

// Who an epoll event is about, beside the numbers of the workers.
constexpr std::uint64_t kBellEvent = ~std::uint64_t{0};
constexpr std::uint64_t kHostEvent = ~std::uint64_t{1};
constexpr std::uint64_t kStandbyEvent = ~std::uint64_t{2};
constexpr std::uint64_t kCoronerEvent = ~std::uint64_t{4};
constexpr std::uint64_t kSupervisorEvent = ~std::uint64_t{3};
constexpr std::uint64_t kObserverEvent = ~std::uint64_t{5};

// After one has been used, so that its replacement does not get in the way of the one that is needed.
constexpr std::chrono::nanoseconds kStandbyPause = std::chrono::microseconds{500};

RestartPolicy restart_policy(const RestartSettings& settings) {
  return {settings.budget, settings.window, settings.backoff, settings.backoff_max, settings.stable};
}

// Events moved out of the way are counted as restarts are, without pauses.
RestartPolicy letter_policy(const RestartSettings& settings) {
  return {settings.letter_budget, settings.window, {}, {}, {}};
}

}  // namespace

Master::Master(const Wiring& wiring, Indexed<WorkerIndex, pinning::Place> places, Lifeline& lifeline,
               ObserverSocket& observer_socket, int host, const Parent& supervisor)
    : wiring_{wiring},
      places_{std::move(places)},
      lifeline_{lifeline},
      observer_socket_{observer_socket},
      host_{host},
      supervisor_{supervisor},
      tick_{wiring.settings().watchdog_tick},
      settings_fingerprint_{wiring.settings().fingerprint},
      report_path_{(wiring.reports() / kDeathsFile).string()} {}

void Master::run() {
  std::string failure;
  try {
    prepare_children();
    open_epoll();
    take_over();
    supervise();
    standby_.give_up();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (!failure.empty()) end(RunState::failed, failure);
  if (running_ == 0) end(RunState::finished, "");
}

void Master::supervise() {
  while (running_ > 0) {
    handle_events(time_to_sleep());
    if (supervisor_dead_) return;
    start_due();
    if (observers_due_ && *observers_due_ <= monotonic_now()) listen_for_observers(true);
    prepare_standby();
    if (monotonic_now() >= next_look_) look_at_workers();
  }
}

void Master::prepare_children() {
  prepare_crash_notes();
  const RestartPolicy policy = restart_policy(wiring_.settings().restart);
  constexpr int kStartsPerDeadline = 10;
  std::chrono::nanoseconds tick = tick_;
  for (const WorkerIndex worker : wiring_.workers()) {
    Child child{worker, policy, letter_policy(wiring_.settings().restart)};
    child.most_attempts = wiring_.settings(worker).poison_attempts;
    child.limits.deadline = wiring_.settings(worker).deadline;
    child.limits.start_deadline = child.limits.deadline * kStartsPerDeadline;
    child.limits.late = std::max(child.limits.deadline / 2, 10 * tick_);
    child.limits.longest_wait = kLongestWait;
    tick = std::min(tick, tick_for(tick_, child.limits.deadline));
    idle_tick_ = std::min(idle_tick_, idle_tick_for(tick_, child.limits.deadline));
    children_.push_back(std::move(child));
  }
  tick_ = tick;
  running_ = children_.size();
}

void Master::open_epoll() {
  epoll_ = Descriptor{::epoll_create1(EPOLL_CLOEXEC)};
  epoll_event bell{EPOLLIN, {.u64 = kBellEvent}};
  epoll_event host{EPOLLIN, {.u64 = kHostEvent}};
  epoll_event supervisor{EPOLLIN, {.u64 = kSupervisorEvent}};
  if (epoll_.get() < 0 ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wiring_.bell(kMasterProcess).fd(), &bell) != 0 ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, host_, &host) != 0 ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, supervisor_.pidfd.get(), &supervisor) != 0) {
    throw Error{{"watch over", wiring_.graph().name, errno_text(), ""}};
  }
  coroner_.show_in(epoll_.get(), kCoronerEvent);
  listen_for_observers(true);
}

// A master that cannot do so does without observers.
void Master::listen_for_observers(bool now) {
  if (!observer_socket_.open()) return;
  observers_due_.reset();
  epoll_event connection{EPOLLIN, {.u64 = kObserverEvent}};
  ::epoll_ctl(epoll_.get(), now ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, observer_socket_.fd(), &connection);
}

std::chrono::nanoseconds Master::time_to_sleep() const {
  std::chrono::nanoseconds next = standby_.ready() ? next_look_ : std::min(next_look_, standby_due_);
  for (const Child& child : children_) {
    if (child.start_at) next = std::min(next, *child.start_at);
  }
  if (observers_due_) next = std::min(next, *observers_due_);
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
      on_host_death();
      continue;
    }
    if (about == kSupervisorEvent) {
      supervisor_dead_ = true;
      continue;
    }
    if (about == kBellEvent) {
      wiring_.bell(kMasterProcess).wait(std::chrono::nanoseconds{0});
      look_at_requests();
    } else if (about == kStandbyEvent) {
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, standby_.pidfd(), nullptr);
      standby_.give_up();
    } else if (about == kCoronerEvent) {
      hear_coroner();
    } else if (about == kObserverEvent) {
      answer_observers();
    } else {
      on_death(WorkerIndex{about});
    }
  }
}

void Master::on_host_death() {
  // The workers must not outlive the program they belong to, or not for longer than their last work takes.
  if (wiring_.settings().host_death == HostDeathPolicy::stop) end(RunState::stopped, "its host has died");
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, host_, nullptr);
  // [master.host_gone] release: pairs with host_gone(). That the host is dead, and what it has stored, this
  // process has from the kernel.
  wiring_.master().host_gone.store(1, std::memory_order_release);
  wiring_.ring_all();
}

void Master::look_at_requests() {
  // [host.requests] acquire: pairs with the host's store before it rang.
  if (wiring_.requests().stop.load(std::memory_order_acquire) == 0) return;
  kill_all();
  end(RunState::stopped, "");
}

void Master::start_due() {
  const auto now = monotonic_now();
  for (const WorkerIndex worker : wiring_.workers()) {
    if (children_[worker].start_at && *children_[worker].start_at <= now) start(worker);
  }
}

void Master::start(WorkerIndex worker) {
  Child& child = children_[worker];
  child.start_at.reset();
  if (standby_.ready()) {
    const pid_t pid = standby_.pid();
    child.pidfd = standby_.hand_over();
    watch_over(worker, pid, EPOLL_CTL_MOD);
    standby_.tell(worker);
    standby_due_ = monotonic_now() + kStandbyPause;
  } else if (const pid_t pid = fork_worker(worker); pid > 0) {
    failed_forks_ = 0;
    watch_over(worker, pid, EPOLL_CTL_ADD);
  } else {
    // Out of processes or memory, perhaps for a moment only.
    constexpr auto kRetry = std::chrono::milliseconds{10};
    constexpr unsigned kMostRetries = 500;
    if (++failed_forks_ > kMostRetries) {
      throw Error{{"fork", wiring_.name(worker), errno_text(),
                   "raise the limit of processes (ulimit -u) or give the machine more memory"}};
    }
    child.start_at = monotonic_now() + kRetry;
  }
}

pid_t Master::fork_worker(WorkerIndex worker) {
  Child& child = children_[worker];
  const pid_t master = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    const bool bound = begin_newborn(lifeline_, master);
    become_newborn();
    become_worker(worker, bound);
  }
  if (pid > 0) child.pidfd = open_pidfd(pid);
  return pid;
}

void Master::become_newborn() noexcept {
  observer_socket_.let_go();
  prepare_worker(wiring_);
  start_mm_pin();
}

void Master::become_worker(WorkerIndex worker, bool bound) noexcept {
  await_registration(wiring_.entry(worker), bound);
  run_worker(wiring_, places_[worker], worker);
}

void Master::watch_over(WorkerIndex worker, pid_t pid, int epoll_operation) {
  Child& child = children_[worker];
  const WorkerMemory memory = wiring_.worker(worker);
  const auto now = monotonic_now();
  child.pid = pid;
  child.born = now;
  // relaxed here and below: words of a worker that is not to be trusted anyway, or words for people.
  child.committed_at_birth = memory.commit().committed.load(std::memory_order_relaxed);
  child.watch = Watch{now, memory.control().progress.load(std::memory_order_relaxed)};
  child.ended_by_watchdog = false;
  child.sentenced_at.reset();
  epoll_event event{EPOLLIN, {.u64 = worker.value()}};
  if (::epoll_ctl(epoll_.get(), epoll_operation, child.pidfd.get(), &event) != 0) {
    throw Error{{"watch", wiring_.name(worker), errno_text(), ""}};
  }
  enter(worker);
}

void Master::enter(WorkerIndex worker) {
  const Child& child = children_[worker];
  WorkerEntry& entry = wiring_.entry(worker);
  entry.identity.store(identity_of(child.pidfd, child.pid), std::memory_order_relaxed);
  // [entry.pid] release: the identity before the pid; pairs with Engine::signal_worker(), with the worker's
  // own look in await_registration(), and with a next master's adopt().
  entry.pid.store(child.pid, std::memory_order_release);
}

void Master::prepare_standby() {
  if (standby_.ready() || monotonic_now() < standby_due_) return;
  bool bound = false;
  const Standby::Duties duties{[this, &bound, master = ::getpid()] {
                                 bound = begin_newborn(lifeline_, master);
                                 become_newborn();
                               },
                               [this, &bound](WorkerIndex worker) { become_worker(worker, bound); }};
  standby_due_ = monotonic_now() + kStandbyPause;
  if (!standby_.prepare(duties)) return;
  epoll_event event{EPOLLIN, {.u64 = kStandbyEvent}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, standby_.pidfd(), &event) != 0) standby_.give_up();
}

void Master::kill_all() noexcept {
  standby_.give_up();
  for (const Child& child : children_) {
    if (child.pid != 0) send_signal(child.pidfd, SIGKILL);
  }
  // One that hangs in the kernel ends when that lets it go: the signal waits for it.
  constexpr std::chrono::seconds kLimit{2};
  for (Child& child : children_) {
    if (child.pid == 0 || !await_death(child.pidfd, kLimit)) continue;
    reaper_.reap(std::move(child.pidfd));
    child.pid = 0;
  }
}

void Master::end(RunState state, const std::string& message) {
  observer_socket_.remove();
  kill_all();
  // The last report is the one that says why.
  coroner_.finish(std::chrono::seconds{5});
  MasterRegister& own = wiring_.master();
  std::snprintf(own.message, sizeof(own.message), "%s", message.c_str());
  // [master.state] release: the message before the state; pairs with Host::state().
  own.state.store(state, std::memory_order_release);
  wiring_.bell(kHostProcess).ring();
  ::_exit(state == RunState::finished || state == RunState::stopped ? 0 : 1);
}

}  // namespace sluice::detail
