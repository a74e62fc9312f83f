// SPDX-License-Identifier: Apache-2.0
#include "guest_pipeline.hpp"

#include <map>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include <sluice/observer.hpp>

#include "guest_memory.hpp"

namespace sluice::test {
namespace {

std::string socket_of(const std::string& pipeline) {
  for (const RunningPipeline& each : Observer::running()) {
    if (each.name.starts_with(pipeline + ".")) return each.socket;
  }
  throw std::runtime_error{"the pipeline " + pipeline + " has no observer socket"};
}

}  // namespace

bool eventually(const std::function<bool()>& done, std::chrono::nanoseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return true;
}

Settings guest_settings() {
  Settings settings;
  settings.set("lane.slots", "1024");
  settings.set("state.bytes", "256KiB");
  settings.set("restart.budget", "1000");
  settings.set("watchdog.deadline", "60s");
  return settings;
}

Pipeline parse_and_count(const std::string& name, unsigned parsers, unsigned counters) {
  Pipeline pipeline{name};
  pipeline.inlet<Item>("in")
      .to<Echo>("parse", {.workers = parsers})
      .by(&Item::key)
      .to<Count>("count", {.workers = counters})
      .outlet("out");
  return pipeline;
}

Running::Running(Report& report, const Pipeline& pipeline, const Settings& settings)
    : report_{report}, engine_{pipeline, settings} {
  engine_.start();
  in_ = engine_.inlet<Item>("in");
  out_ = engine_.outlet<Counted>("out");
  report.note(engine_.placement());
  report.check(pass(100), "100 events go in and come out");
}

std::vector<WorkerStats> Running::workers() const {
  std::vector<WorkerStats> workers;
  for (const StageStats& stage : engine_.stats().stages)
    workers.insert(workers.end(), stage.workers.begin(), stage.workers.end());
  return workers;
}

WorkerStats Running::worker(const std::string& name) const {
  for (WorkerStats& worker : workers()) {
    if (worker.name == name) return std::move(worker);
  }
  throw std::runtime_error{"no worker " + name};
}

CpuSet Running::used() const {
  CpuSet used;
  for (const WorkerStats& worker : workers())
    used |= cpus_of(worker.pid);
  return used;
}

bool Running::pass(std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (in_->push({pushed_ % 16, pushed_}) != PushResult::accepted) return false;
    ++pushed_;
  }
  return eventually([this] {
    pulled_ += static_cast<std::uint32_t>(out_->poll([](const Counted&) {}));
    return pulled_ == pushed_;
  });
}

int Running::memory_node_of(const Machine& machine, const std::string& process) const {
  const CpuSet cpus = cpus_of(worker(process).pid);
  std::set<int> nodes;
  for (const unsigned cpu : cpus.to_vector())
    nodes.insert(machine.memory_for(machine.cpu(cpu).node));
  return nodes.size() == 1 ? *nodes.begin() : -1;
}

void Running::check_processes(const Machine& machine) {
  for (const WorkerStats& worker : workers()) {
    const CpuSet planned = CpuSet::parse(worker.place);
    std::string text = worker.name;
    text.append(" is planned on ").append(worker.place);
    report_.check(planned.count() == 1 && machine.online().includes(planned),
                  text + ", one CPU that is online");
    for (const CpuSet& granted : cpus_of_threads(worker.pid))
      report_.check(granted == planned, text + " and granted " + granted.to_string());
    const std::string wanted = "prefer:" + std::to_string(memory_node_of(machine, worker.name));
    const std::string policy = policy_of_stack(worker.pid);
    report_.check(policy == wanted, std::string{worker.name}
                                        .append(" has the memory policy ")
                                        .append(policy)
                                        .append(", wanted ")
                                        .append(wanted));
  }
  const Stats stats = engine_.stats();
  for (const auto& [name, pid] :
       {std::pair{"master", stats.master}, std::pair{"supervisor", stats.supervisor}}) {
    const CpuSet granted = cpus_of(pid);
    report_.check(!granted.empty() && !granted.intersects(used()),
                  std::string{name} + " may use " + granted.to_string() + ", none of the workers' " +
                      used().to_string());
  }
}

bool Running::has_pages_in_place(const Machine& machine, const std::string& reader) const {
  for (const Piece& piece : pieces_of(socket_of("vm"))) {
    if (piece.reader != reader) continue;
    const pinning::Whereabouts& found = piece.found;
    if (found.pages_on_node.size() != 1 || !found.pages_on_node.contains(memory_node_of(machine, reader)))
      return false;
  }
  return true;
}

bool Running::move_pages(const std::string& reader, int node) {
  const int error = move_pieces(socket_of("vm"), reader, node);
  return report_.check(error == 0, "the memory of " + reader + " is moved to node " + std::to_string(node));
}

void Running::check_pages(const Machine& machine) {
  std::set<std::string> names;
  for (const WorkerStats& worker : workers())
    names.insert(worker.name);
  for (const Piece& piece : pieces_of(socket_of("vm"))) {
    if (!names.contains(piece.reader)) continue;  // The host's and the master's may be on several nodes.
    const int wanted = memory_node_of(machine, piece.reader);
    const pinning::Whereabouts& found = piece.found;
    report_.check(found.error == 0 && found.absent_pages == 0 && found.pages_on_node.size() == 1 &&
                      found.pages_on_node.contains(wanted),
                  piece.name + ": " + to_text(found) + ", wanted " + std::to_string(wanted));
  }
}

void Running::check_cores(const Machine& machine) {
  std::map<std::string, std::string> taken;
  for (const WorkerStats& worker : workers()) {
    const std::string core = machine.cpu(cpus_of(worker.pid).to_vector().front()).core.to_string();
    std::string text = worker.name;
    text.append(" has the core ").append(core).append(" alone");
    report_.check(taken.emplace(core, worker.name).second, text);
  }
}

void Running::end() {
  report_.check(pass(100), "100 events more go in and come out");
  in_->close();
  const bool ended = eventually([this] {
    pulled_ += static_cast<std::uint32_t>(out_->poll([](const Counted&) {}));
    return engine_.wait_for(std::chrono::milliseconds{1});
  });
  report_.check(ended && pulled_ == pushed_,
                "ended with " + std::to_string(pulled_) + " events of " + std::to_string(pushed_));
}

}  // namespace sluice::test
