// SPDX-License-Identifier: Apache-2.0
#include "sluice/engine.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/bind.hpp>

#include "host/host.hpp"
#include "host/resume.hpp"
#include "host/shallow_idle.hpp"
#include "layout/placement.hpp"
#include "master/lifeline.hpp"
#include "master/supervisor.hpp"
#include "observer/description.hpp"
#include "observer/observer_socket.hpp"
#include "observer/segment_stats.hpp"
#include "ports/waiter.hpp"

namespace sluice {

using namespace detail;

namespace {

// For processes that have been asked to end, or are about to.
constexpr std::chrono::milliseconds kGrace{2000};

std::size_t thread_count() {
  std::error_code error;
  std::filesystem::directory_iterator tasks{"/proc/self/task", error};
  if (error) throw Error{{"count the threads of", "this process", error.message(), "mount /proc"}};
  return static_cast<std::size_t>(std::distance(tasks, {}));
}

void refuse_threads(const std::string& name) {
  const std::size_t threads = thread_count();
  if (threads > 1) {
    throw Error{{"start the pipeline", name, fmt::format("this process runs {} threads", threads),
                 "call start() before the first thread is made: a fork takes only one along"}};
  }
}

}  // namespace

struct Engine::Parts {
  Parts(const Pipeline& pipeline, const Settings& settings)
      : name{pipeline.name()},
        host{pipeline.graph(), settings, settings.text("segment.path")},
        placement{place(host.wiring().graph(), host.wiring().layout(), host.settings())},
        own{host.wiring().host().control()},
        waiter{wait_policy(host.wiring().settings().host_wait, placement.plan.host.shared), own,
               host.wiring().bell(kHostProcess)} {}

  // Whether somebody is left who keeps the pipeline up.
  bool running() noexcept { return started && !host.look_for_the_end(); }
  void reap(bool block);
  void await_end(std::chrono::milliseconds grace);
  std::string how_the_control_plane_died() const;
  void await_workers();
  bool all_ready() const;
  Stats known_stats() const;
  void open_observer_socket();
  void fail_if_failed();

  std::string name;
  Host host;
  Placement placement;
  pinning::Report memory;
  std::string idle_remark;
  ipc::Control& own;
  DoorbellWaiter waiter;
  std::optional<Lifeline>
      lifeline;                    // Made as late as the fork: no other pipeline of this host may inherit it.
  ObserverSocket observer_socket;  // The same holds for it.
  pid_t supervisor = 0;  // The first one, a child of this process; 0 once reaped. Later ones are no children.
  int supervisor_status = 0;
  pid_t maker = 0;  // The process that started it; a child of it leaves names alone.
  bool started = false;
  bool resumed = false;
};

Engine::Engine(const Pipeline& pipeline, const Settings& settings)
    : parts_{std::make_unique<Parts>(pipeline, settings)} {}

Engine::~Engine() {
  try {
    stop();
  } catch (...) {
    // The processes go either way, at the latest with this one.
  }
  if (parts_->running()) return;
  parts_->host.remove_spent_file();
  // Its master does that, unless it was killed.
  if (parts_->maker == ::getpid()) parts_->observer_socket.remove();
}

void Engine::start() {
  Parts& parts = *parts_;
  if (parts.started) throw Error{{"start the pipeline", parts.name, "it has been started before", ""}};
  refuse_threads(parts.name);
  const Wiring& wiring = parts.host.wiring();
  const ShallowIdle idle{parts.host.settings()};
  parts.idle_remark = idle.remark();
  parts.resumed = wiring.segment().open();
  parts.memory = bind_segment(wiring.layout(), wiring.segment(), parts.placement);
  wiring.segment().prefault();
  if (parts.resumed) {
    wiring.segment().own_everything();
    forget_processes(wiring);
  }
  wiring.own(kHostProcess);
  parts.own.magic = ipc::kRegionMagic;
  parts.own.layout_version = ipc::kLayoutVersion;
  parts.own.pid.store(::getpid(), std::memory_order_relaxed);  // relaxed: inherited by fork.
  parts.host.open_ends(parts.waiter);

  const Descriptor self = open_pidfd(::getpid());
  parts.open_observer_socket();
  parts.lifeline.emplace();
  std::fflush(nullptr);  // What is buffered here must not come out of a worker as well.
  const pid_t pid = ::fork();
  if (pid < 0) {
    parts.lifeline.reset();
    parts.observer_socket.remove();
    parts.observer_socket.let_go();
    throw Error{{"fork the supervisor of", parts.name, errno_text(),
                 "raise the limit of processes (ulimit -u) or give the machine more memory"}};
  }
  if (pid == 0) run_supervisor({wiring, parts.placement, *parts.lifeline, parts.observer_socket, self.get()});
  parts.supervisor = pid;
  parts.lifeline->let_go();
  parts.observer_socket.let_go();
  parts.host.watch(*parts.lifeline);
  parts.started = true;
  parts.maker = ::getpid();
  // The host is left where it was: its threads are its own.
  parts.await_workers();
}

Stats Engine::Parts::known_stats() const {
  Stats stats = host.known_stats();
  WorkerIndex worker;
  for (StageStats& stage : stats.stages) {
    for (WorkerStats& entry : stage.workers) {
      entry.place = placement.workers[worker].units.to_string();
      ++worker;
    }
  }
  return stats;
}

void Engine::Parts::open_observer_socket() {
  const Wiring& wiring = host.wiring();
  if (host.settings().text("observe.socket") == "off") return;
  const Description description{name, wiring.segment().first_byte(), wiring.layout(), known_stats()};
  observer_socket = ObserverSocket{host.settings(), name, Descriptor{wiring.segment().open_read_only()},
                                   to_bytes(description)};
}

void Engine::Parts::reap(bool block) {
  if (supervisor == 0) return;
  pid_t reaped = 0;
  do {
    reaped = ::waitpid(supervisor, &supervisor_status, block ? 0 : WNOHANG);
  } while (reaped < 0 && errno == EINTR);
  // A host that ignores SIGCHLD or waits for any child has reaped it before us; its status is lost.
  if (reaped == supervisor || (reaped < 0 && errno == ECHILD)) supervisor = 0;
}

// Waits for the end of all processes, which has been asked for or is under way; ends it by force when
// `grace` is over.
void Engine::Parts::await_end(std::chrono::milliseconds grace) {
  constexpr std::chrono::milliseconds kLook{10};
  constexpr std::chrono::seconds kForce{5};
  const auto start = monotonic_now();
  while (running() && monotonic_now() - start < grace + kForce) {
    reap(false);
    // One master or supervisor may follow the other meanwhile; each of them looks at the request to stop
    // first.
    if (monotonic_now() - start > grace) host.kill_control_plane();
    lifeline->await_cut(kLook);
  }
  // A supervisor that holds no lifeline any more is on its way out.
  reap(!running());
}

bool Engine::Parts::all_ready() const {
  for (const WorkerIndex index : host.wiring().workers()) {
    const WorkerMemory worker = host.wiring().worker(index);
    // [entry.pid] pairs with Spawner::enter(). A worker can be at work before its master has written down
    // its pid.
    const WorkerEntry& entry = worker.entry();
    // relaxed: as below. Who is shed will never be ready.
    if (entry.shed.load(std::memory_order_relaxed) != 0) continue;
    if (entry.pid.load(std::memory_order_acquire) == 0 && entry.done.load(std::memory_order_relaxed) == 0)
      return false;
    const ipc::Control& control = worker.control();
    // relaxed: nothing is done on the strength of it but to go on.
    const std::uint32_t now = control.incarnation.load(std::memory_order_relaxed);
    if (now == 0 || control.lives[now % ipc::kLivesKept].ready_ns.load(std::memory_order_relaxed) == 0)
      return false;
  }
  return true;
}

void Engine::Parts::await_workers() {
  // Bounded by the master, which ends a worker that hangs in its start, and gives up once the budget is
  // spent.
  while (!all_ready() && !host.over() && running()) {
    std::this_thread::sleep_for(std::chrono::microseconds{200});
    reap(false);
  }
  fail_if_failed();
}

void Engine::Parts::fail_if_failed() {
  const bool abandoned = started && !running();
  if (host.state() == RunState::failed) {
    await_end(kGrace);
    throw Error{{"run the pipeline", name, host.failure(), ""}};
  }
  // Asked in this order: the last master has stored how the pipeline ended before it let go of the lifeline.
  if (abandoned && !host.over()) {
    reap(true);
    throw Error{{"run the pipeline", name, how_the_control_plane_died(),
                 "the workers ended with them; start the pipeline anew"}};
  }
}

std::string Engine::Parts::how_the_control_plane_died() const {
  if (WIFEXITED(supervisor_status) && WEXITSTATUS(supervisor_status) == kExitNoMaster)
    return "its supervisor could fork no master: no process, memory or descriptor was to be had";
  if (WIFEXITED(supervisor_status) && WEXITSTATUS(supervisor_status) == kExitMastersCrash)
    return "its masters crashed, one after the other";
  return "its master and its supervisor died before either could replace the other";
}

bool Engine::wait_for(std::chrono::nanoseconds limit) {
  Parts& parts = *parts_;
  if (!parts.started) throw Error{{"wait for", parts.name, "it has not been started", "call start()"}};
  constexpr std::chrono::nanoseconds kLook = std::chrono::milliseconds{50};
  const auto until = monotonic_now() + limit;
  while (true) {
    if (parts.host.over()) {
      parts.await_end(kGrace);
      parts.fail_if_failed();
      parts.host.remove_spent_file();
      return true;
    }
    parts.reap(false);
    parts.fail_if_failed();
    const auto left = until - monotonic_now();
    if (left.count() <= 0) return false;
    // The master rings when the pipeline is over; that nobody is left is seen at the next look.
    parts.host.wiring().bell(kHostProcess).wait(std::min(left, kLook));
  }
}

void Engine::wait() {
  if (parts_->started) parts_->host.close_inlets();
  while (!wait_for(std::chrono::hours{1})) {
  }
}

void Engine::begin_drain() {
  Parts& parts = *parts_;
  if (!parts.started || !parts.running()) return;
  parts.host.close_inlets();
  const Wiring& wiring = parts.host.wiring();
  // [host.requests] release: what the host published before it asks; pairs with the looks of the workers.
  wiring.requests().drain.store(1, std::memory_order_release);
  wiring.ring_all();
}

void Engine::drain() {
  begin_drain();
  wait();
}

void Engine::stop() {
  Parts& parts = *parts_;
  if (!parts.running()) return parts.reap(true);  // It may have come to its end by itself.
  const Wiring& wiring = parts.host.wiring();
  // [host.requests] release: pairs with Master::look_at_requests().
  wiring.requests().stop.store(1, std::memory_order_release);
  wiring.bell(kMasterProcess).ring();
  parts.await_end(kGrace);
}

bool Engine::resumed() const noexcept {
  return parts_->resumed;
}

bool Engine::over() const {
  return parts_->host.over();
}

Stats Engine::stats() const {
  Stats stats = parts_->known_stats();
  read_stats(parts_->host.wiring(), stats);
  return stats;
}

std::string Engine::placement() const {
  pinning::Report report;
  const Stats now = parts_->host.stats();
  WorkerIndex worker;
  for (const StageStats& stage : now.stages) {
    for (const WorkerStats& entry : stage.workers) {
      const pinning::Place& asked = parts_->placement.workers[worker];
      ++worker;
      if (entry.pid == 0) continue;
      report.processes.push_back({entry.name, asked, {}, pinning::current_units(entry.pid)});
    }
  }
  for (pinning::MemoryReport memory : parts_->memory.memory)
    report.memory.push_back(std::move(memory));
  std::string text = pinning::to_text(parts_->placement.plan) + parts_->idle_remark;
  return text + (report.as_asked() ? "" : pinning::to_text(report));
}

bool Engine::signal_worker(std::string_view worker, int signal) {
  const Wiring& wiring = parts_->host.wiring();
  for (const WorkerIndex index : wiring.workers()) {
    if (wiring.name(index) != worker) continue;
    const WorkerEntry& entry = wiring.entry(index);
    // [entry.pid] acquire: the identity before the pid; pairs with Spawner::enter(). The pid alone would not
    // do: a worker that its master did not fork may be reaped before its pid is withdrawn in
    // ExitHandler::on_exit().
    const pid_t pid = entry.pid.load(std::memory_order_acquire);
    const Descriptor pidfd = find_process(pid, entry.identity.load(std::memory_order_relaxed));
    return pidfd && send_signal(pidfd, signal);
  }
  throw Error{{"signal the worker", fmt::format("'{}'", worker), "the pipeline has no such worker",
               "a worker's name is its stage's and its number: parse/0"}};
}

HostInlet& Engine::inlet_end(std::string_view name, const EventType& type) {
  return parts_->host.inlet(name, type);
}

HostOutlet& Engine::outlet_end(std::string_view name, const EventType& type) {
  return parts_->host.outlet(name, type);
}

}  // namespace sluice
