// SPDX-License-Identifier: Apache-2.0
#include "host/engine_parts.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <new>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/inherited.hpp>
#include <sluice/detail/standard_streams.hpp>
#include <sluice/error.hpp>

#include "host/interruption.hpp"
#include "host/orphans.hpp"
#include "master/supervisor.hpp"
#include "observer/description.hpp"
#include "worker/executed_program.hpp"

namespace sluice {

using namespace detail;

std::mutex Engine::Parts::engines_mutex;
Engine::Parts* Engine::Parts::engines = nullptr;

Engine::Parts::Parts(const Pipeline& pipeline, const Settings& settings)
    : name{pipeline.name()},
      segment_path{settings.text("segment.path")},
      settings{settings.values()},
      host{pipeline.graph(), settings, segment_path},
      placement{place(host.wiring().graph(), host.wiring().layout(), host.wiring().settings())},
      host_units_before{pinning::current_units()},
      own{host.wiring().host().control()} {
  host.wiring().segment().show_to_children(false);
  const std::lock_guard lock{engines_mutex};
  next = engines;
  engines = this;
}

Engine::Parts::~Parts() {
  const std::lock_guard lock{engines_mutex};
  Parts** at = &engines;
  while (*at != this)
    at = &(*at)->next;
  *at = next;
}

void Engine::Parts::refuse_elsewhere(const char* tried) const {
  if (!host.home().here()) host.refuse_here(tried);
}

void Engine::Parts::let_go() noexcept {
  host.let_go();
  lifeline.reset();
  host_line.reset();
  observer_socket.let_go();
  log.let_go();
  claim.let_go();
  host_claim.let_go();
}

void Engine::Parts::let_go_of_others(std::initializer_list<int> more) const {
  // The process has one thread, and the lock was free when it was forked.
  for (Parts* other = engines; other != nullptr; other = other->next) {
    if (other != this) other->let_go();
  }
  const Wiring& wiring = host.wiring();
  std::vector<int> ours{lifeline->fd(), lifeline->writing_end(), host_line->fd(), host_line->writing_end()};
  ours.insert(ours.end(), more.begin(), more.end());
  for (const int fd : wiring.segment().descriptors())
    ours.push_back(fd);
  for (const int fd : observer_socket.descriptors())
    ours.push_back(fd);
  for (const int fd : log.descriptors())
    ours.push_back(fd);
  for (const int fd : claim.descriptors())
    ours.push_back(fd);
  for (const ipc::Doorbell& bell : wiring.bells().processes)
    ours.push_back(bell.fd());
  for (const ipc::Doorbell& bell : wiring.bells().ends)
    ours.push_back(bell.fd());
  for (const Node& node : wiring.graph().nodes)
    ours.insert(ours.end(), node.options.descriptors.begin(), node.options.descriptors.end());
  close_all_but(std::move(ours));
}

void Engine::Parts::check_stages() const {
  for (const Node& node : host.wiring().graph().nodes) {
    if (node.options.hostile_input && !node.options.descriptors.empty() &&
        host.wiring().executed_start() != nullptr) {
      throw Error{{"give descriptors to the stage", node.name,
                   "its replacements are executed anew (hostile_input), and have none of the host",
                   "open them in the handler's constructor, or leave one of the two out"}};
    }
    for (const int fd : node.options.descriptors) {
      if (fd >= 0 && ::fcntl(fd, F_GETFD) >= 0) continue;
      if (fd >= 0 && errno != EBADF) continue;  // It cannot be told.
      throw Error{{"give the stage " + node.name, fmt::format("the descriptor {}", fd), errno_text(EBADF),
                   "StageOptions::descriptors names those that are open at start()"}};
    }
  }
  refuse_second_executed(host.wiring().graph());
}

void Engine::Parts::settle_places() {
  // Another pipeline's start takes milliseconds; one that hangs is not waited for.
  constexpr std::chrono::milliseconds kPatience{200};
  const pinning::CpuSet now = pinning::current_units();
  std::optional<pinning::CpuSet> bound;
  if (now != host_units_before && host_units_before.includes(now)) bound = now;
  if (!host.wiring().settings().claims) {
    placement = placed_beside(std::move(placement), {}, std::move(bound));
    return;
  }
  const pinning::ClaimLock lock{kPatience};
  placement = placed_beside(std::move(placement), pinning::claims_of_others({}), std::move(bound));
  claim = pinning::HeldClaim{name, claimed_units(placement, placement.workers)};
  placement.claim_mark = claim.mark();
}

void Engine::Parts::open_memory() {
  if (std::exchange(memory_open, true)) return;
  const Wiring& wiring = host.wiring();
  ipc::Segment& segment = wiring.segment();
  resumed = segment.open();
  if (resumed) resumed_from = segment_path;
  memory = bind_segment(wiring.layout(), segment, placement);
  if (!segment.populate_huge()) {
    segment.show_to_children(false);
    memory = bind_segment(wiring.layout(), segment, placement);
  }
  host.keep_out_of_cores();
}

bool Engine::Parts::restore() {
  const Wiring& wiring = host.wiring();
  if (!std::exchange(memory_allocated, true)) {
    wiring.segment().allocate();
    wiring.segment().own_everything();
  }
  auto checkpoint = restore_checkpoint(wiring, restored ? &*restored : nullptr);
  if (checkpoint) restored = std::move(checkpoint);
  return restored.has_value();
}

void Engine::Parts::make_memory() {
  open_memory();
  const Wiring& wiring = host.wiring();
  ipc::Segment& segment = wiring.segment();
  const bool checkpointed = !wiring.settings().checkpoints.path.empty();
  if (resumed && checkpointed) refuse_newer_checkpoint(wiring, segment_path);
  if (!resumed && checkpointed && restore()) {
    resumed = true;
    resumed_from = restored->text;
    if (restored->tip) host.restored_from(std::make_shared<const CheckpointTip>(*restored->tip));
  }
  // What has a name gets it from here on.
  if (!memory_allocated || segment.named()) segment.prefault();
  const int error = wiring.settings().memory.lock ? segment.lock() : 0;
  if (error != 0) {
    throw Error{
        {"lock the memory of", name, "mlock: " + errno_text(error),
         "allow it (RLIMIT_MEMLOCK, CAP_IPC_LOCK, the filter of system calls), or set memory.lock=no"}};
  }
}

void Engine::Parts::fork_supervisor(int handed_down, Descriptor checkpoints_locked) {
  const Wiring& wiring = host.wiring();
  const Descriptor self = open_pidfd(::getpid());
  start_time = monotonic_now();
  open_observer_socket();
  open_log();
  lifeline.emplace();
  host_line.emplace();
  wiring.segment().show_to_children(true);
  write_out_standard_streams();  // What is buffered here must not come out of a worker as well.
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      let_go_of_others({self.get(), handed_down, checkpoints_locked.get()});
    } catch (const std::bad_alloc&) {
      // Then the supervisor has more than it needs.
    }
    run_supervisor({wiring, placement, *lifeline, observer_socket, log, claim, checkpoints_locked, self.get(),
                    *host_line});
  }
  const std::string why = errno_text();
  claim.let_go();
  wiring.segment().show_to_children(false);
  if (pid < 0) {
    lifeline.reset();
    host_line.reset();
    observer_socket.remove();
    observer_socket.let_go();
    log.let_go();
    throw Error{{"fork the supervisor of", name, why,
                 "raise the limit of processes (ulimit -u) or give the machine more memory"}};
  }
  supervisor = pid;
  lifeline->let_go();
  host_line->hold();
  observer_socket.let_go();
  log.only_await();
  host.watch(*lifeline);
  remember_executed(wiring.graph());
  started = true;
}

Stats Engine::Parts::known_stats() const {
  Stats stats = host.known_stats();
  stats.memory.remark = host.wiring().segment().huge_remark();
  stats.started = start_time;
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
  const ObserverSettings& asked = wiring.settings().observers;
  if (asked.socket == ObserverSettings::Socket::off) return;
  const Description description{name,
                                wiring.segment().first_byte(),
                                wiring.segment().huge_pages(),
                                wiring.layout(),
                                known_stats(),
                                described_lanes(wiring.graph(), wiring.layout()),
                                settings};
  const std::array<int, 3> memory = wiring.segment().open_read_only();
  observer_socket = ObserverSocket{asked,
                                   name,
                                   {Descriptor{memory[0]}, Descriptor{memory[1]}, Descriptor{memory[2]}},
                                   to_bytes(description)};
}

void Engine::Parts::open_log() {
  if (host.wiring().settings().log.level != LogLevel::off) log = LogChannel::open(log_to);
}

void Engine::Parts::reap(bool block) {
  pid_t reaped = 0;
  while (supervisor != 0) {
    reaped = ::waitpid(supervisor, &supervisor_status, block ? 0 : WNOHANG);
    if (reaped >= 0 || errno != EINTR) break;
  }
  // A host that ignores SIGCHLD or waits for any child has reaped it before us; its status is lost.
  if (reaped == supervisor || (reaped < 0 && errno == ECHILD)) supervisor = 0;
  reap_orphans();
}

void Engine::Parts::reap_orphans() {
  if (!inherits_orphans()) return;
  constexpr std::chrono::milliseconds kLast{500};
  if (supervisor == 0 && started && lifeline->cut()) return reap_last_orphans(host.wiring(), kLast);
  detail::reap_orphans(host.wiring(), supervisor);
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
    if (lifeline->closed_here()) {
      // The host has closed what it did not know. Its death was taken for that, and the supervisor is its child.
      if (supervisor == 0) break;
      std::this_thread::sleep_for(kLook);
    } else {
      lifeline->await_cut(kLook);
    }
  }
  // A supervisor that holds no lifeline any more is on its way out.
  reap(!running());
  // What the pipeline had to say stands before what the program says of it.
  if (!running()) log.await_end(kLogGrace);
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
  // spent. What a signal asks for is not held up by a constructor that takes its time.
  while (!all_ready() && !host.over() && running() && !Interruption::came_before()) {
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
    log.await_end(kLogGrace);
    throw Error{{"run the pipeline", name, how_the_control_plane_died(),
                 "the workers ended with them; start the pipeline anew"}};
  }
}

const std::string& Engine::Parts::kept_in() const noexcept {
  const ipc::Segment& segment = host.wiring().segment();
  const bool in_file = segment.named() && !(started && segment.lost_its_file());
  if (in_file) return segment_path;
  static const std::string nowhere;
  const std::string& directory = host.wiring().settings().checkpoints.path;
  return !started || !host.over() || host.has_checkpoint() ? directory : nowhere;
}

void Engine::Parts::refuse_an_end_that_is_not_kept() const {
  if (!host.end_is_not_kept()) return;
  throw Error{
      {"keep the end of", name,
       host.failure() +
           "; it has handled everything, and what this program has not taken from its outlets is "
           "in memory only",
       "take it now, and wait() again; or make room there and start it again: it goes on with the checkpoint "
       "before, and what came behind that comes once more"}};
}

void Engine::Parts::refuse_an_end_of_others() const {
  const auto refuse = [this](const char* what, const char* remedy) {
    const std::string why = host.failure();
    throw Error{{"run the pipeline", name,
                 fmt::format("it was {}, and not by this program{}{}", what, why.empty() ? "" : ": ", why),
                 remedy}};
  };
  const bool kept = !kept_in().empty();
  switch (host.end()) {
    case End::stopped:
      if (stop_asked) return;
      return refuse("stopped", kept ? "start it again: it goes on" : "what it had not handled is lost");
    case End::parked:
      if (!park_asked) refuse("parked", "start it again: it goes on with what is kept");
      return;
    case End::drained:
      if (!drain_asked) refuse("drained", "what its sources had not read is left");
      return;
    default:
      return;
  }
}

std::string Engine::Parts::how_the_control_plane_died() const {
  if (WIFEXITED(supervisor_status) && WEXITSTATUS(supervisor_status) == kExitNoMaster)
    return "its supervisor could fork no master: no process, memory or descriptor was to be had";
  if (WIFEXITED(supervisor_status) && WEXITSTATUS(supervisor_status) == kExitMastersCrash)
    return "its masters crashed, one after the other";
  return "its master and its supervisor died before either could replace the other";
}

}  // namespace sluice
