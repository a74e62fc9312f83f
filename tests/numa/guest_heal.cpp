// SPDX-License-Identifier: Apache-2.0
// Places that somebody takes away while the pipeline runs: a mask, a cpuset, a CPU. How long the repair takes is
// noted and not judged: the machine may be emulated.
#include "guest_heal.hpp"

#include <chrono>
#include <functional>
#include <sched.h>
#include <stdexcept>
#include <string>

#include "guest_machine.hpp"
#include "guest_pipeline.hpp"

namespace sluice::test {
namespace {

void set_cpus(pid_t pid, const CpuSet& cpus) {
  const auto mask = cpus.mask();
  if (::sched_setaffinity(pid, mask.size_bytes(), reinterpret_cast<const cpu_set_t*>(mask.data())) != 0)
    throw std::runtime_error{"sched_setaffinity"};
}

// Every worker has one CPU of `cpus`, and no two the same.
bool in_place(const Running& running, const CpuSet& cpus) {
  CpuSet taken;
  for (const WorkerStats& worker : running.workers()) {
    const CpuSet granted = cpus_of(worker.pid);
    if (granted.count() != 1 || !cpus.includes(granted) || taken.intersects(granted)) return false;
    if (granted.to_string() != worker.place) return false;
    taken |= granted;
  }
  return true;
}

bool check_within_time(Report& report, const std::string& what, const std::function<bool()>& done) {
  const auto begin = std::chrono::steady_clock::now();
  const bool did = report.check(eventually(done), what);
  const auto took = std::chrono::steady_clock::now() - begin;
  report.note(what + " after " +
              std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()) + " ms");
  return did;
}

}  // namespace

void rewritten_mask(Report& report) {
  const Machine machine = Machine::read();
  Running running{report, parse_and_count("vm", 2, 2)};
  const WorkerStats before = running.worker("count/1");
  const CpuSet place = CpuSet::parse(before.place);
  set_cpus(before.pid, machine.online() - place);
  check_within_time(report, "count/1 is put back on " + before.place,
                    [&] { return cpus_of(before.pid) == place && running.worker("count/1").put_back > 0; });
  report.check(running.worker("count/1").pid == before.pid, "it is the same process");
  report.check(running.worker("count/1").displaced == 1, "it was found elsewhere once");
  running.check_processes(machine);
  running.check_cores(machine);
  running.check_pages(machine);
  running.end();
}

// An operator moves the memory of a worker to another node, while events go through.
void moved_pages(Report& report) {
  const Machine machine = Machine::read();
  Running running{report, parse_and_count("vm", 2, 2)};
  const std::string worker = "count/0";
  const int home = running.memory_node_of(machine, worker);
  for (const int node : machine.nodes()) {
    if (node == home || !machine.has_memory(node)) continue;
    if (!running.move_pages(worker, node)) break;
    check_within_time(report, worker + " has its memory back on node " + std::to_string(home),
                      [&] { return running.has_pages_in_place(machine, worker); });
    report.check(running.pass(100), "100 events go through");
  }
  report.check(running.engine().stats().pages_elsewhere > 0, "pages were found elsewhere");
  running.check_processes(machine);
  running.check_pages(machine);
  running.end();
}

void rewritten_cpuset(Report& report) {
  const Machine machine = Machine::read();
  const std::string group = enter_group("rewritten", {{"cpuset.cpus", machine.online().to_string()}});
  Running running{report, parse_and_count("vm", 2, 2)};
  const CpuSet first = running.used();
  const CpuSet left = machine.online() - first;
  write_line(group + "/cpuset.cpus", left.to_string());
  check_within_time(report, "the workers have places in the cpuset " + left.to_string(),
                    [&] { return in_place(running, left); });
  for (const WorkerStats& worker : running.workers())
    report.check(worker.planned_anew > 0, worker.name + " was planned anew, on " + worker.place);
  report.check(running.pass(100), "100 events go through at the new places");
  // Their policies of private memory are of the old places still: a process sets its own only.
  running.check_cores(machine);
  for (const WorkerStats& worker : running.workers()) {
    check_within_time(report, "what " + worker.name + " reads is near its new place",
                      [&] { return running.has_pages_in_place(machine, worker.name); });
  }
  write_line(group + "/cpuset.cpus", machine.online().to_string());
  check_within_time(report, "the workers are back on " + first.to_string() + ", which the cpuset has again",
                    [&] { return in_place(running, first); });
  for (const WorkerStats& worker : running.workers()) {
    check_within_time(report, "what " + worker.name + " reads is back near " + worker.place,
                      [&] { return running.has_pages_in_place(machine, worker.name); });
  }
  running.check_processes(machine);
  running.check_pages(machine);
  running.end();
}

void cpu_goes_offline(Report& report) {
  const Machine machine = Machine::read();
  Running running{report, parse_and_count("vm", 2, 2)};
  const std::string cpu = running.worker("count/0").place;
  const std::string file = "/sys/devices/system/cpu/cpu" + cpu + "/online";
  write_line(file, "0");
  const Machine smaller = Machine::read();
  report.check(!smaller.online().includes(CpuSet::parse(cpu)), "CPU " + cpu + " is offline");
  check_within_time(report, "the workers have CPUs that are online",
                    [&] { return in_place(running, smaller.online()); });
  report.check(running.worker("count/0").planned_anew > 0,
               "count/0 was planned anew, on " + running.worker("count/0").place);
  report.check(running.pass(100), "100 events go through at the new places");
  running.check_processes(smaller);
  running.end();
  write_line(file, "1");
}

}  // namespace sluice::test
