// SPDX-License-Identifier: Apache-2.0
#include "host/host.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>
#include <unistd.h>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/far_fence.hpp>
#include <sluice/printable.hpp>

#include "checkpoint/checkpoint_format.hpp"
#include "checkpoint/checkpoint_store.hpp"
#include "host/restore.hpp"
#include "host/resume.hpp"
#include "layout/executed_start.hpp"
#include "layout/shape.hpp"
#include "layout/worker_counts.hpp"
#include "observer/description.hpp"
#include "observer/observer_socket.hpp"
#include "observer/segment_stats.hpp"
#include "worker/executed_program.hpp"

namespace sluice::detail {
namespace {

ipc::Segment make_segment(const Graph& graph, const Layout& layout, const PipelineSettings& settings,
                          const std::string& path) {
  const std::vector<ipc::RegionSpec> specs = region_specs(layout);
  const ipc::HugePages& pool = settings.memory.pool;
  const auto writable =
      has_executed_stages(graph) ? ipc::Writable::where_mapped_anew : ipc::Writable::where_inherited;
  if (path.empty()) return ipc::Segment{graph.name, specs, pool, writable};
  if (pool.required[ipc::kTwoMib] || pool.required[ipc::kOneGib]) {
    throw Error{
        {"take huge pages of the machine's pool for", graph.name,
         "its segment is the file " + path + ", and files that outlive a pipeline have none",
         "set memory.huge=auto, which has the kernel put huge pages together, or leave segment.path away"}};
  }
  return ipc::Segment{graph.name, specs, {path, shape_of(graph, layout, settings)}};
}

// Absolute, because a handler may change the directory of its process.
std::filesystem::path reports_directory(const std::string& pipeline, const Settings& settings,
                                        const std::string& segment_path) {
  const std::string path = settings.text("report.path");
  if (path != "auto" && !path.empty()) return absolute_path(path);
  // What outlives its processes has its dead letters where its next processes find them.
  for (const std::string& kept : {segment_path, settings.text("checkpoint.path")}) {
    if (!kept.empty()) return absolute_path(kept + ".reports");
  }
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return absolute_path("sluice-reports") / fmt::format("{}-{:%Y%m%dT%H%M%S}-{}", file_name_of(pipeline),
                                                       fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                                                       ::getpid());
}

// What does not change while the pipeline runs.
Stats unchanging_stats(const Graph& graph, const Layout& layout, const std::filesystem::path& reports) {
  Stats stats;
  stats.pipeline = graph.name;
  stats.version = SLUICE_VERSION;
  stats.reports = reports.string();
  for (const WorkerIndex index : layout.workers()) {
    const Node& node = graph.nodes[layout.worker(index).node];
    if (stats.stages.empty() || stats.stages.back().name != node.name) {
      stats.stages.push_back({node.name, node.kind == NodeKind::source, {}, {}, {}});
    }
    WorkerStats worker;
    worker.name = layout.worker(index).name;
    stats.stages.back().workers.push_back(std::move(worker));
  }
  stats.flows = flows_of(layout, described_lanes(graph, layout), stats.stages);
  return stats;
}

template <class End>
End& find_end(std::deque<End>& ends, const Graph& graph, NodeIndex node, const EventType& asked,
              const EventType& carried) {
  if (asked != carried) {
    throw Error{{"open", "'" + graph.nodes[node].name + "'", "it carries events of another type",
                 "ask for the type that the pipeline was built with"}};
  }
  for (End& end : ends) {
    if (end.node() == node) return end;
  }
  throw Error{{"open", "'" + graph.nodes[node].name + "'", "the pipeline has not been started",
               "call Engine::start() before"}};
}

}  // namespace

Host::Host(const Graph& graph, const Settings& settings, const std::string& segment_path)
    : graph_{graph},
      settings_{with_worker_counts(graph_, resolve(settings, graph_), kept_shape(settings))},
      layout_{lay_out(graph_, settings_)},
      segment_(make_segment(graph_, layout_, settings_, segment_path)),
      bells_{layout_},
      reports_{reports_directory(graph_.name, settings, segment_path)},
      wiring_{graph_, layout_, settings_, segment_, bells_, reports_},
      known_{unchanging_stats(graph_, layout_, reports_)},
      register_{wiring_.master()},
      requests_{wiring_.requests()} {
  check_retry(graph_, layout_, settings_.retry_path);
  if (!has_executed_stages(graph_)) return;
  ExecutedStart start{said_settings(settings), {}, shape_of(graph_, layout_, settings_)};
  // The directory that it is relative to may be gone by then.
  for (SaidSetting& said : start.settings) {
    if (said.key == "checkpoint.path") said.value = settings_.checkpoints.path;
  }
  for (const StageSettings& node : settings_.nodes)
    start.workers.push_back(node.workers);
  wiring_.executed_start(std::make_shared<const ExecutedStart>(std::move(start)));
}

void Host::open_ends(const ipc::WaitPolicy& policy) {
  for (const EndLayout& end : layout_.ends) {
    waiters_.emplace_back(policy, wiring_.end(end.node).control, wiring_.end_bell(end.node));
    open_end(end.node, waiters_.back());
  }
}

void Host::open_ends(Waiter& waiter) {
  for (const EndLayout& end : layout_.ends)
    open_end(end.node, waiter);
}

void Host::open_end(NodeIndex node, Waiter& waiter) {
  if (graph_.nodes[node].kind == NodeKind::inlet) {
    inlets_.emplace_back(*this, node, waiter);
  } else {
    outlets_.emplace_back(*this, node, waiter);
  }
}

HostInlet& Host::inlet(std::string_view name, const EventType& type) {
  const NodeIndex node = graph_.find(name, NodeKind::inlet);
  return find_end(inlets_, graph_, node, type, graph_.nodes[node].outputs.front());
}

HostOutlet& Host::outlet(std::string_view name, const EventType& type) {
  const NodeIndex node = graph_.find(name, NodeKind::outlet);
  return find_end(outlets_, graph_, node, type, graph_.edge_to(node).type);
}

// Other threads may be pushing.
void Host::close_inlets() {
  for (HostInlet& inlet : inlets_)
    inlet.ask_to_close();
  if (!ipc::far_fences()) {
    ipc::full_fence();  // Pushes pass one, too.
  } else if (!inlets_.empty() && !ipc::far_fence()) {
    // A filter of system calls has come since. No store takes so long to be seen.
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  for (HostInlet& inlet : inlets_)
    inlet.close_unless_under_way();
}

std::string Host::failure() const {
  return std::string{text_of(register_.message)};
}

bool Host::end_is_not_kept() const noexcept {
  return state() == RunState::finished && register_.message[0] != '\0' && !all_pulled(wiring_);
}

bool Host::abandoned() noexcept {
  constexpr std::chrono::nanoseconds kInterval = std::chrono::milliseconds{10};
  // relaxed: a death is for good, and a thread that sees it late asks again.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  if (lifeline_ == nullptr || abandoned_.load(kRelaxed)) return abandoned_.load(kRelaxed);
  const std::int64_t now = monotonic_now().count();
  if (now < next_look_ns_.load(kRelaxed)) return false;
  next_look_ns_.store(now + kInterval.count(), kRelaxed);
  return look_for_the_end();
}

bool Host::look_for_the_end() noexcept {
  if (lifeline_ == nullptr || !lifeline_->cut()) return false;
  if (!abandoned_.load(std::memory_order_relaxed)) confirm_the_end();
  abandoned_.store(true, std::memory_order_relaxed);  // relaxed: as in abandoned().
  return true;
}

void Host::refuse_here(const char* tried) const {
  throw Error{{tried, graph_.name,
               fmt::format("its engine belongs to the process {}, and this one is {}, a child of it",
                           home_.pid(), ::getpid()),
               "fork, or call daemon(), before the engine is made"}};
}

void Host::let_go() noexcept {
  segment_.let_go();
  for (ipc::Doorbell& bell : bells_.processes)
    bell.let_go();
  for (ipc::Doorbell& bell : bells_.ends)
    bell.let_go();
  for (HostInlet& inlet : inlets_)
    inlet.let_go();
  for (HostOutlet& outlet : outlets_)
    outlet.let_go();
}

void Host::remove_spent_files() {
  // What was finished but not pulled is still to be had, and what was parked or stopped is gone on with.
  const bool spent = state() == RunState::finished && all_pulled(wiring_);
  if (!spent && !is_untouched(wiring_)) return;
  segment_.remove_file();
  // Those of a start that was refused are another life's.
  const std::string& checkpoints = settings_.checkpoints.path;
  if (!checkpoints.empty() && lifeline_ != nullptr) remove_checkpoints(checkpoints, graph_.name);
}

// Not what the master has counted: it may have died behind the last one that was published.
bool Host::has_checkpoint() const {
  std::error_code error;
  std::filesystem::directory_iterator entry{settings_.checkpoints.path, error};
  for (; !error && entry != std::filesystem::directory_iterator{}; entry.increment(error)) {
    const auto name = parse_checkpoint_name(entry->path().filename().string());
    if (name && !name->part) return true;
  }
  return false;
}

// The kernel kills the workers when the lifeline is cut; the host does not look into the lanes before they
// are dead. One that was not bound to it has died with its master.
void Host::confirm_the_end() const noexcept {
  // All of them together: some may hang in the kernel.
  constexpr std::chrono::seconds kLimit{1};
  const auto until = monotonic_now() + kLimit;
  for (const WorkerIndex worker : wiring_.workers()) {
    const WorkerEntry& entry = wiring_.entry(worker);
    // [entry.pid] acquire: pairs with Spawner::enter().
    const pid_t pid = entry.pid.load(std::memory_order_acquire);
    try {
      const Descriptor pidfd = find_process(pid, entry.identity.load(std::memory_order_relaxed));
      if (!pidfd) continue;
      send_signal(pidfd, SIGKILL);
      await_death(pidfd, std::chrono::duration_cast<std::chrono::milliseconds>(until - monotonic_now()));
    } catch (...) {
      // Without a descriptor or memory nothing is confirmed; the kernel kills it all the same.
    }
  }
}

void Host::kill_control_plane() const {
  for (const ProcessEntry* entry : {&register_.supervisor, &register_.master}) {
    // [register.pid] acquire: pairs with Master::introduce_itself().
    const pid_t pid = entry->pid.load(std::memory_order_acquire);
    const Descriptor pidfd = find_process(pid, entry->identity.load(std::memory_order_relaxed));
    if (pidfd) send_signal(pidfd, SIGKILL);
  }
}

void keep_out_of_cores(const Layout& layout, const PipelineSettings& settings,
                       ipc::Segment& segment) noexcept {
  if (settings.dumped_segment == DumpedSegment::all) return;
  for (const ProcessIndex process : layout.processes.indices()) {
    const ProcessLayout& parts = layout.processes[process];
    // Undo log and state stand last; the host and the master have none.
    segment.keep_out_of_cores(process.value(), parts.entries != 0 ? parts.entries : parts.plain_bytes);
  }
}

void Host::describe(std::string_view name, std::string_view value, bool started) {
  const auto refuse = [this](const std::string& why) {
    throw Error{{"describe", graph_.name, why, "give it before start(), by a name like host_name"}};
  };
  if (started) refuse("it has been started");
  if (!is_fact_name(name)) refuse(fmt::format("'{}' is no name of a fact", printable(name)));
  const auto same = [name](const Fact& fact) { return fact.name == name; };
  const auto found = std::find_if(known_.facts.begin(), known_.facts.end(), same);
  if (found == known_.facts.end()) {
    known_.facts.push_back({std::string{name}, std::string{value}});
  } else {
    found->value = value;
  }
}

Stats Host::stats() const {
  Stats stats = known_;
  read_stats(wiring_, stats);
  return stats;
}

}  // namespace sluice::detail
