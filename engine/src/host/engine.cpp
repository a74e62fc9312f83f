// SPDX-License-Identifier: Apache-2.0
#include "sluice/engine.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/own_directory.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/segment_shape.hpp>
#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/masks.hpp>

#include "checkpoint/checkpoint_format.hpp"
#include "checkpoint/checkpoint_store.hpp"
#include "host/deadline.hpp"
#include "host/debug_letter.hpp"
#include "host/engine_parts.hpp"
#include "host/enlarge.hpp"
#include "host/interruption.hpp"
#include "host/left_behind.hpp"
#include "host/machine_check.hpp"
#include "host/paths_apart.hpp"
#include "host/plan_answer.hpp"
#include "host/restore.hpp"
#include "host/resume.hpp"
#include "host/shallow_idle.hpp"
#include "layout/worker_counts.hpp"
#include "observer/segment_stats.hpp"

namespace sluice {

using namespace detail;

namespace {

// What waits for checkpoints where none are made would wait for ever.
void refuse_to_wait_for_nothing(const Wiring& wiring) {
  if (!wiring.settings().checkpoints.path.empty()) return;
  for (const NodeIndex node : wiring.graph().nodes.indices()) {
    if (!wiring.settings(node).after_checkpoint) continue;
    throw Error{{"start the pipeline", wiring.graph().name,
                 fmt::format("outside.after=checkpoint has {} wait for checkpoints, and none are made",
                             wiring.node(node).name),
                 "set checkpoint.path to a directory for them"}};
  }
}

void refuse_to_ship_nothing(const Wiring& wiring) {
  if (!wiring.shipper() || !wiring.settings().checkpoints.path.empty()) return;
  throw Error{{"ship the checkpoints of", wiring.graph().name, "none are made",
               "set checkpoint.path to a directory for them"}};
}

}  // namespace

Engine::Engine(const Pipeline& pipeline, const Settings& said) {
  const Graph& graph = pipeline.graph();
  const Settings settings = pipeline.with_defaults(said);
  answer_plan(graph, settings);
  debug_letter(graph, settings);
  refuse_kernel(pipeline.name());
  const PipelineSettings resolved = with_worker_counts(graph, resolve(settings, graph), kept_shape(settings));
  refuse_limits(pipeline.name(), lay_out(graph, resolved), resolved, !settings.text("segment.path").empty());
  parts_ = std::make_unique<Parts>(pipeline, settings);
  if (resolved.memory.lock) parts_->host.wiring().segment().refuse_lock_beyond_limit();
  refuse_to_wait_for_nothing(parts_->host.wiring());
}

Engine::~Engine() {
  // A child of the host has a copy, and no pipeline.
  if (!parts_->host.home().here()) {
    parts_->let_go();
    return;
  }
  try {
    stop();
  } catch (...) {
    // The processes go either way, at the latest with this one.
  }
  if (parts_->running()) return;
  try {
    parts_->host.remove_spent_files();
  } catch (...) {
    // Who waits for the end of the pipeline is told.
  }
  // Its master does that, unless it was killed.
  parts_->observer_socket.remove();
}

void Engine::log_to(int descriptor) {
  parts_->refuse_elsewhere("choose the log of");
  if (parts_->started)
    throw Error{{"choose the log of", parts_->name, "it has been started", "choose it before"}};
  // -1 is for nowhere.
  if (descriptor >= 0 && ::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF)
    throw Error{
        {"send the log to", fmt::format("the descriptor {}", descriptor), errno_text(), "open it before"}};
  parts_->log_to = descriptor;
}

void Engine::describe(std::string_view name, std::string_view value) {
  parts_->refuse_elsewhere("describe");
  parts_->host.describe(name, value, parts_->started);
}

void Engine::ship_checkpoints(CheckpointShipper shipper, std::function<void()> parked) {
  parts_->refuse_elsewhere("ship the checkpoints of");
  refuse_no_function(shipper, "ship the checkpoints of", parts_->name);
  if (parts_->started)
    throw Error{{"ship the checkpoints of", parts_->name, "it has been started", "say it before start()"}};
  parts_->host.ship_checkpoints(std::move(shipper));
  parts_->on_parked = std::move(parked);
}

bool Engine::restore_ahead() {
  Parts& parts = *parts_;
  parts.refuse_elsewhere("restore a checkpoint for");
  if (parts.started) throw Error{{"restore a checkpoint for", parts.name, "it has been started", ""}};
  const Wiring& wiring = parts.host.wiring();
  if (wiring.settings().checkpoints.path.empty() || wiring.segment().named()) {
    throw Error{{"restore a checkpoint ahead of the start of", parts.name,
                 "it has no checkpoints, or a file of its memory that comes before them",
                 "set checkpoint.path, and leave segment.path out"}};
  }
  parts.open_memory();
  return parts.restore();
}

void Engine::start() {
  Parts& parts = *parts_;
  parts.refuse_elsewhere("start the pipeline");
  if (parts.started) throw Error{{"start the pipeline", parts.name, "it has been started before", ""}};
  refuse_threads(parts.name);
  const Wiring& wiring = parts.host.wiring();
  refuse_to_ship_nothing(wiring);
  parts.check_stages();
  parts.settle_places();
  // Not only when the first event has died, when no user is at hand.
  refuse_paths_in_the_way(parts.name, wiring.settings(), parts.segment_path, wiring.reports());
  // The directory of reports comes last: it may be beside one of the others, which is what somebody has set.
  const std::string& checkpoints = wiring.settings().checkpoints.path;
  if (!checkpoints.empty()) OwnDirectory::check(checkpoints, kCheckpointSetting);
  if (wiring.segment().named()) ipc::refuse_where_no_segment_can_be(parts.segment_path);
  OwnDirectory::check(wiring.reports());
  Descriptor checkpoints_locked;
  if (!checkpoints.empty()) checkpoints_locked = lock_checkpoints(checkpoints);
  const ShallowIdle idle{wiring.settings().idle_states};
  parts.idle_remark = idle.remark();
  make_way_for_checkpoint(parts.segment_path, wiring.settings().checkpoints.path);
  if (wiring.segment().named())
    enlarge_segment(wiring.graph(), wiring.layout(), wiring.settings(), parts.segment_path);
  parts.make_memory();
  if (parts.resumed) {
    refuse_damaged_numbers(wiring, parts.resumed_from);
    wiring.segment().own_everything();
    forget_processes(wiring);
  }
  wiring.own(kHostProcess);
  draw_run(wiring);
  begin_life(wiring);
  parts.own.magic = ipc::kRegionMagic;
  parts.own.layout_version = ipc::kLayoutVersion;
  parts.own.pid.store(::getpid(), std::memory_order_relaxed);  // relaxed: inherited by fork.
  parts.host.open_ends(wait_policy(wiring.settings().host_wait, parts.placement.plan.host.shared));
  // A drain that a former life was asked for goes on: some stages may have come to their end already.
  parts.drain_asked = parts.host.drain_asked();
  if (parts.drain_asked) parts.host.close_inlets();

  parts.fork_supervisor(idle.descriptor(), std::move(checkpoints_locked));
  // The host is left where it was: its threads are its own.
  parts.await_workers();
}

bool Engine::wait_for(std::chrono::nanoseconds limit) {
  Parts& parts = *parts_;
  parts.refuse_elsewhere("wait for");
  if (!parts.started) throw Error{{"wait for", parts.name, "it has not been started", "call start()"}};
  constexpr std::chrono::nanoseconds kLook = std::chrono::milliseconds{50};
  const auto until = deadline_after(limit);
  const Interruption interruption;
  while (true) {
    // Asked in this order: the last checkpoint is stored before the pipeline is over.
    const bool over = parts.host.over();
    if (parts.on_parked && parts.host.parked_by_checkpoint()) std::exchange(parts.on_parked, {})();
    if (over) {
      parts.await_end(kGrace);
      parts.fail_if_failed();
      parts.host.remove_spent_files();
      parts.refuse_an_end_that_is_not_kept();
      parts.refuse_an_end_of_others();
      return true;
    }
    parts.reap(false);
    parts.fail_if_failed();
    const auto left = until - monotonic_now();
    if (left.count() <= 0 || interruption.has_come()) return false;
    // The master rings when the pipeline is over; that no master is left is seen at the next look. Inlets and
    // outlets have bells of their own.
    interruption.wait(parts.host.wiring().bell(kHostProcess), std::min(left, kLook));
  }
}

void Engine::wait() {
  parts_->refuse_elsewhere("wait for");
  if (parts_->started) parts_->host.close_inlets();
  while (!wait_for(std::chrono::hours{1})) {
  }
}

void Engine::begin_drain() {
  Parts& parts = *parts_;
  parts.refuse_elsewhere("drain");
  if (!parts.started || !parts.running()) return;
  parts.drain_asked = true;
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

void Engine::begin_park() {
  Parts& parts = *parts_;
  parts.refuse_elsewhere("park");
  if (!parts.host.wiring().kept()) return begin_drain();
  if (!parts.started || !parts.running()) return;
  parts.park_asked = true;
  const Wiring& wiring = parts.host.wiring();
  // [host.requests] release: pairs with Master::look_at_requests().
  wiring.requests().park.store(1, std::memory_order_release);
  wiring.bell(kMasterProcess).ring();
}

void Engine::park() {
  begin_park();
  while (!wait_for(std::chrono::hours{1})) {
  }
}

LeftBehind Engine::stop() {
  Parts& parts = *parts_;
  parts.refuse_elsewhere("stop");
  if (!parts.started) return {};
  if (parts.running()) {
    const Wiring& wiring = parts.host.wiring();
    parts.stop_asked = true;
    // [host.requests] release: pairs with Master::look_at_requests().
    wiring.requests().stop.store(1, std::memory_order_release);
    wiring.bell(kMasterProcess).ring();
    parts.await_end(kGrace);
  } else {
    parts.reap(true);  // It may have come to its end by itself.
  }
  return detail::left_behind(parts.host.wiring());
}

LeftBehind Engine::left_behind() const {
  parts_->refuse_elsewhere("look at");
  return parts_->started ? detail::left_behind(parts_->host.wiring()) : LeftBehind{};
}

bool Engine::draining() const {
  parts_->refuse_elsewhere("look at");
  return parts_->host.drain_asked();
}

bool Engine::interrupted() const {
  parts_->refuse_elsewhere("look at");
  return parts_->started && detail::is_interrupted(parts_->host.wiring());
}

End Engine::end() const {
  parts_->refuse_elsewhere("look at");
  return parts_->host.end();
}

bool Engine::resumed() const noexcept {
  return parts_->resumed;
}

const std::string& Engine::resumed_from() const noexcept {
  return parts_->resumed_from;
}

const std::string& Engine::kept_in() const noexcept {
  return parts_->kept_in();
}

bool Engine::over() const {
  parts_->refuse_elsewhere("look at");
  return parts_->host.over();
}

Stats Engine::stats() const {
  parts_->refuse_elsewhere("look at");
  Stats stats = parts_->known_stats();
  read_stats(parts_->host.wiring(), stats);
  return stats;
}

std::string Engine::placement() const {
  parts_->refuse_elsewhere("look at");
  pinning::Report report;
  const Wiring& wiring = parts_->host.wiring();
  for (const WorkerIndex worker : wiring.workers()) {
    const WorkerEntry& entry = wiring.entry(worker);
    // [entry.pid] acquire: pairs with Spawner::enter().
    const pid_t pid = entry.pid.load(std::memory_order_acquire);
    pinning::Mask granted;
    const int error = pid != 0 ? pinning::read_mask(pid, granted) : ESRCH;
    // One that is dead, whether or not its death was noted, is nowhere.
    if (error == ESRCH) continue;
    report.processes.push_back({wiring.name(worker),
                                place_in(entry.place, parts_->placement.workers[worker]),
                                {},
                                error == 0 ? pinning::set_of(granted) : pinning::current_units(pid)});
  }
  for (pinning::MemoryReport memory : parts_->memory.memory)
    report.memory.push_back(std::move(memory));
  std::string text = pinning::to_text(parts_->placement.plan) + parts_->idle_remark;
  const std::string memory = to_text(stats().memory);
  if (!memory.empty()) text.append(memory).append("\n");
  return text + (report.as_asked() ? "" : pinning::to_text(report));
}

pinning::Place Engine::place_of_host() const {
  parts_->refuse_elsewhere("look at");
  return parts_->placement.plan.host;
}

bool Engine::bind_host() const {
  parts_->refuse_elsewhere("bind the host of");
  if (!parts_->started)
    throw Error{{"bind the host of", parts_->name, "it has not been started", "call start()"}};
  const detail::Placement& placement = parts_->placement;
  const bool bound = pinning::bind_this_process(placement.plan.host).complete();
  // A host that can go from core to core keeps out of the way by itself.
  if (bound && !placement.request.host && host_has_one_core(placement) &&
      parts_->host_claim.descriptors().empty())
    parts_->host_claim = parts_->claim.for_host(placement.plan.host.units);
  return bound;
}

bool Engine::signal_worker(std::string_view worker, int signal) {
  parts_->refuse_elsewhere("send a signal to a worker of");
  const Wiring& wiring = parts_->host.wiring();
  for (const WorkerIndex index : wiring.workers()) {
    if (wiring.name(index) != worker) continue;
    const WorkerEntry& entry = wiring.entry(index);
    // [entry.pid] acquire: the identity before the pid; pairs with Spawner::enter(). The pid alone would not
    // do: a worker that its master did not fork may be reaped before its pid is withdrawn in
    // ExitHandler::on_exit().
    const pid_t pid = entry.pid.load(std::memory_order_acquire);
    const Descriptor pidfd = find_process(pid, entry.identity.load(std::memory_order_relaxed));
    // One that is dead already could be sent it, and its replacement would have none.
    return pidfd && !await_death(pidfd, std::chrono::milliseconds{0}) && send_signal(pidfd, signal);
  }
  throw Error{{"signal the worker", fmt::format("'{}'", worker), "the pipeline has no such worker",
               "a worker's name is its stage's and its number: parse/0"}};
}

HostInlet& Engine::inlet_end(std::string_view name, const EventType& type) {
  parts_->refuse_elsewhere("open an inlet of");
  return parts_->host.inlet(name, type);
}

HostOutlet& Engine::outlet_end(std::string_view name, const EventType& type) {
  parts_->refuse_elsewhere("open an outlet of");
  return parts_->host.outlet(name, type);
}

}  // namespace sluice
