// SPDX-License-Identifier: Apache-2.0
#include "guest_scenarios.hpp"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include <sluice/pinning/topology.hpp>

#include "guest_heal.hpp"
#include "guest_machine.hpp"
#include "guest_pipeline.hpp"

namespace sluice::test {
namespace {

// hwloc's numbers for cores and caches are its own; what matters is who shares one.
CpuSet sharers(const pinning::Topology& topology, const pinning::ProcessingUnit& unit,
               int pinning::ProcessingUnit::*level) {
  CpuSet sharers;
  for (const pinning::ProcessingUnit& other : topology.units) {
    if (other.*level == unit.*level) sharers.insert(other.os_index);
  }
  return sharers;
}

// The planner's view of the machine is the kernel's.
void topology(Report& report) {
  const Machine machine = Machine::read();
  const pinning::Topology read = pinning::read_topology();
  report.note(read.description);
  CpuSet units;
  for (const pinning::ProcessingUnit& unit : read.units) {
    const std::string name = "CPU " + std::to_string(unit.os_index);
    units.insert(unit.os_index);
    if (!report.check(machine.cpus().contains(unit.os_index), name + " is online")) continue;
    const Cpu& cpu = machine.cpu(unit.os_index);
    report.check(sharers(read, unit, &pinning::ProcessingUnit::core) == cpu.core,
                 name + " has the core " + cpu.core.to_string());
    report.check(sharers(read, unit, &pinning::ProcessingUnit::l3) == cpu.l3,
                 name + " has the L3 cache of " + cpu.l3.to_string());
    report.check(unit.numa_node == cpu.node, name + " is on node " + std::to_string(cpu.node));
    report.check(unit.allowed && !unit.isolated, name + " is allowed");
  }
  report.check(units == machine.online(), "all CPUs that are online are there: " + units.to_string());
  for (const pinning::NumaNode& node : read.nodes) {
    const bool memory = machine.has_memory(node.os_index);
    report.check((node.memory_bytes > 0) == memory,
                 "node " + std::to_string(node.os_index) + (memory ? " has memory" : " has no memory"));
  }
  report.check(read.nodes.size() == machine.nodes().size(), std::to_string(read.nodes.size()) + " nodes");
}

void two_stages(Report& report) {
  const Machine machine = Machine::read();
  Running running{report, parse_and_count("vm", 1, 1)};
  running.check_processes(machine);
  running.check_cores(machine);
  running.check_pages(machine);
  const CpuSet used = running.used();
  report.check(machine.cpu(used.to_vector().front()).l3.includes(used),
               "two neighbours share an L3 cache: " + used.to_string());
  running.end();
}

void stages_with_counts(Report& report) {
  const Machine machine = Machine::read();
  Running running{report, parse_and_count("vm", 2, 3)};
  report.check(running.workers().size() == 5, "as many workers as were asked for");
  running.check_processes(machine);
  running.check_cores(machine);
  running.check_pages(machine);
  std::set<int> packages;
  for (const unsigned cpu : running.used().to_vector())
    packages.insert(machine.cpu(cpu).package);
  report.check(packages.size() == 2, "five workers on eight cores: both packages are used");
  running.end();
}

// Killed, and replaced where its predecessor was, over the same pages.
void respawn(Report& report) {
  const Machine machine = Machine::read();
  Running running{report, parse_and_count("vm", 2, 2)};
  for (const char* name : {"parse/1", "count/0"}) {
    const WorkerStats before = running.worker(name);
    ::kill(before.pid, SIGKILL);
    const bool back = eventually([&] {
      const WorkerStats now = running.worker(name);
      return now.pid != 0 && now.pid != before.pid && now.restarts > before.restarts &&
             !cpus_of(now.pid).empty();
    });
    report.check(back, std::string{name} + " is replaced");
    report.check(running.pass(100), "100 events go through the replacement of " + std::string{name});
    report.check(running.worker(name).place == before.place,
                 std::string{name} + " is planned where it was: " + before.place);
  }
  running.check_processes(machine);
  running.check_cores(machine);
  running.check_pages(machine);
  running.end();
}

// As many workers as leave one core: the host and the master get that.
void a_core_for_each(Report& report) {
  const Machine machine = Machine::read();
  const unsigned workers = static_cast<unsigned>(machine.cores().size()) - 1;
  Running running{report, parse_and_count("vm", 3, workers - 3)};
  running.check_processes(machine);
  running.check_cores(machine);
  running.check_pages(machine);
  running.end();
}

// More workers than cores: each core has one before any has two.
void siblings_last(Report& report) {
  const Machine machine = Machine::read();
  const std::size_t cores = machine.cores().size();
  Running running{report, parse_and_count("vm", 3, static_cast<unsigned>(cores) - 1)};
  running.check_processes(machine);
  std::map<std::string, int> on_core;
  for (const WorkerStats& worker : running.workers())
    ++on_core[machine.cpu(cpus_of(worker.pid).to_vector().front()).core.to_string()];
  report.check(on_core.size() == cores, "every one of the " + std::to_string(cores) + " cores has a worker");
  running.check_pages(machine);
  running.end();
}

// Only the CPUs of the node that has no memory: the memory comes from the node next to it.
void memoryless(Report& report) {
  const Machine machine = Machine::read();
  int bare = -1;
  for (const int node : machine.nodes()) {
    if (!machine.has_memory(node)) bare = node;
  }
  if (!report.check(bare >= 0, "a node has no memory: " + std::to_string(bare))) return;
  CpuSet there;
  for (const auto& [number, cpu] : machine.cpus()) {
    if (cpu.node == bare) there.insert(number);
  }
  enter_group("memoryless", {{"cpuset.cpus", there.to_string()}});
  Running running{report, parse_and_count("vm", 1, 1)};
  report.check(there.includes(running.used()),
               "the workers are on " + running.used().to_string() + " of " + there.to_string());
  running.check_processes(machine);
  running.check_pages(machine);
  running.end();
}

// A quota of two cores for five workers: nobody has a core for itself, and the plan says so.
void quota(Report& report) {
  enter_group("quota", {{"cpu.max", "200000 100000"}});
  Running running{report, parse_and_count("vm", 2, 3)};
  const std::string text = running.engine().placement();
  report.check(text.find("quota of 2 cores") != std::string::npos, "the plan tells of the quota");
  report.check(text.find("shared") != std::string::npos, "places are shared");
  running.end();
}

std::uint64_t free_pages_of_1g() {
  std::ifstream file{"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages"};
  std::uint64_t pages = 0;
  file >> pages;
  return pages;
}

std::string error_of_start(const Pipeline& pipeline, const Settings& settings) {
  try {
    Engine engine{pipeline, settings};
    engine.start();
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

// A state of more than a GiB lies in a page of 1 GiB and in small ones; no death loses or leaks the page, and a second
// pipeline, which finds none, is told so or goes down the ladder.
void pages_of_1g(Report& report) {
  const Machine machine = Machine::read();
  if (!report.check(free_pages_of_1g() == 1, "one page of 1 GiB is free")) return;
  const int node = machine.nodes().back();
  Settings settings = guest_settings();
  settings.set("stage.count.state.bytes", "1100MiB");
  settings.set("stage.count.place", "numa:" + std::to_string(node));
  settings.set("memory.huge", "1G");
  {
    Running running{report, parse_and_count("vm", 1, 1), settings};
    constexpr std::uint64_t kGib = std::uint64_t{1} << 30U;
    report.check(running.engine().stats().memory.in_pool_1g == kGib, "a GiB of it is in a page of 1 GiB");
    report.check(free_pages_of_1g() == 0, "the page is taken");
    report.check(running.has_pages_in_place(machine, "count/0"),
                 "all of it is on node " + std::to_string(node));
    const WorkerStats before = running.worker("count/0");
    ::kill(before.pid, SIGKILL);
    report.check(eventually([&] {
                   const WorkerStats now = running.worker("count/0");
                   return now.pid != 0 && now.pid != before.pid && now.restarts > before.restarts;
                 }),
                 "count/0 is replaced");
    report.check(running.pass(100), "100 events go through the replacement");
    report.check(running.engine().stats().memory.in_pool_1g == kGib, "over the same page");
    const std::string refused = error_of_start(parse_and_count("second", 1, 1), settings);
    report.check(
        refused.find("take huge pages of 1 GiB for second: it takes 1 and 0 are free, of 1 in the pool") !=
            std::string::npos,
        "a second pipeline is told what lacks: " + refused);
    running.end();
  }
  report.check(eventually([] { return free_pages_of_1g() == 1; }), "the page is free again");
}

}  // namespace

std::span<const Scenario> scenarios() {
  static constexpr Scenario kScenarios[] = {
      {"topology", topology},
      {"two-stages", two_stages},
      {"stages-with-counts", stages_with_counts},
      {"respawn", respawn},
      {"a-core-for-each", a_core_for_each},
      {"siblings-last", siblings_last},
      {"memoryless", memoryless},
      {"quota", quota},
      {"pages-of-1g", pages_of_1g},
      {"rewritten-mask", rewritten_mask},
      {"moved-pages", moved_pages},
      {"rewritten-cpuset", rewritten_cpuset},
      {"cpu-goes-offline", cpu_goes_offline},
  };
  return kScenarios;
}

}  // namespace sluice::test
