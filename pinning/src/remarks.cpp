// SPDX-License-Identifier: Apache-2.0
#include "remarks.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/pinning/distance.hpp>
#include <sluice/pinning/quota.hpp>

#include "memory_node.hpp"
#include "usable.hpp"

namespace sluice::pinning {
namespace {

using detail::counted;

}  // namespace

std::size_t threads_asked(const PlanRequest& request) {
  std::size_t threads = 0;
  for (const StageRequest& stage : request.stages)
    threads += std::size_t{stage.workers} * std::max(1U, stage.threads);
  return threads;
}

std::size_t threads_at_work(const PlanRequest& request, std::optional<double> quota_cores) {
  const std::size_t by_all = threads_asked(request);
  std::size_t threads = 0;
  for (const StageRequest& stage : request.stages) {
    const unsigned asked = std::max(1U, stage.threads);
    threads += std::size_t{stage.workers} * threads_that_run({asked, by_all, asked}, quota_cores);
  }
  return threads;
}

void remark_load(Plan& result, const Topology& topology, const PlanRequest& request, const Units& usable) {
  std::size_t workers = 0;
  for (const StageRequest& stage : request.stages)
    workers += stage.workers;
  const std::string units =
      fmt::format("{} ({})", counted(usable.size(), "processing unit"), set_of(usable).to_string());
  if (workers > usable.size()) {
    result.remarks.push_back(fmt::format("{} share {}: none has one of its own, so none spins while it waits",
                                         counted(workers, "worker"), units));
  } else if (workers == usable.size()) {
    result.remarks.push_back(fmt::format(
        "{} on {} leave none for the host and the master: all share them, so no process spins while it waits",
        counted(workers, "worker"), units));
  }
  const std::size_t threads = threads_at_work(request, topology.quota_cores);
  if (topology.quota_cores && *topology.quota_cores < static_cast<double>(threads + 1)) {
    const std::string who =
        threads == workers ? counted(workers, "worker")
                           : fmt::format("{} of {}", counted(threads, "thread"), counted(workers, "worker"));
    result.remarks.push_back(
        fmt::format("CPU quota of {:.4g} cores is below the {} that {} and the host can keep busy: no "
                    "process spins while "
                    "it waits, and under full load the kernel pauses the pipeline in every period",
                    *topology.quota_cores, threads + 1, who));
  }
}

void remark_units(Plan& result, const Units& usable, const Units& taken, const Units& of_others) {
  std::set<int> cores;
  for (const ProcessingUnit& unit : taken)
    cores.insert(unit.core);
  if (cores.size() < taken.size()) {
    result.remarks.push_back(
        fmt::format("{} run on {}: SMT siblings carry a worker each and slow each other down",
                    counted(taken.size(), "worker"), counted(cores.size(), "core")));
  }
  const Units alone = without(taken, of_others);
  const Units beside = without(alone, on_free_cores(alone, of_others));
  if (!beside.empty()) {
    result.remarks.push_back(
        fmt::format("{} ({}) on a core of which others hold a thread: both slow each other down",
                    counted(beside.size(), "worker"), set_of(beside).to_string()));
  }
  int fastest = 0;
  for (const ProcessingUnit& unit : usable)
    fastest = std::max(fastest, unit.efficiency);
  const Units slower = select(taken, [&](const ProcessingUnit& unit) { return unit.efficiency < fastest; });
  if (!slower.empty()) {
    result.remarks.push_back(fmt::format("{} on a slower kind of core ({})", counted(slower.size(), "worker"),
                                         set_of(slower).to_string()));
  }
}

void remark_memory(Plan& result, const Topology& topology, const Units& usable) {
  std::set<int> bare;
  for (const ProcessingUnit& unit : usable) {
    if (unit.numa_node != kUnknown && !gives_memory(topology, unit.numa_node)) bare.insert(unit.numa_node);
  }
  for (const int node : bare) {
    const int other = memory_node(topology, node);
    result.remarks.push_back(fmt::format(
        fmt::runtime(has_memory(topology, node)
                         ? "memory of NUMA node {} is not allowed to this process: workers there use {}"
                         : "NUMA node {} has no memory: workers there use {}"),
        node, other == kUnknown ? "other nodes" : fmt::format("that of node {}", other)));
  }
}

void remark_costs(Plan& result, const MeasuredCosts& costs) {
  if (!costs.passed_over.empty())
    result.remarks.push_back(fmt::format(
        "measured costs are passed over: {}; `sluice calibrate` measures them anew", costs.passed_over));
  if (costs.empty() || costs.steady) return;
  result.remarks.emplace_back(
      "the measured costs change from one moment to the next, as where a virtual machine's units wander "
      "between "
      "caches: no plan can know who is near to whom, and this one believes the topology");
}

// What the engine runs in each worker of the stage where there are not as many units, or not as much of them.
void remark_threads(Plan& result, const PlanRequest& request, const Topology& topology) {
  for (std::size_t stage = 0; stage < request.stages.size(); ++stage) {
    const StageRequest& asked = request.stages[stage];
    if (asked.threads < 2) continue;
    const std::vector<Place>& workers = result.stages[stage].workers;
    const auto narrowest = std::min_element(
        workers.begin(), workers.end(),
        [](const Place& one, const Place& other) { return one.units.count() < other.units.count(); });
    const std::size_t units = narrowest->units.count();
    const std::size_t by_all = threads_asked(request);
    const unsigned most = threads_that_run({asked.threads, by_all, units}, topology.quota_cores);
    if (most == asked.threads) continue;
    std::string why =
        units < asked.threads
            ? fmt::format("its place {} has no more units", narrowest->units.to_string())
            : fmt::format("the CPU quota is {:.4g} cores{}", *topology.quota_cores,
                          by_all == asked.threads ? "" : fmt::format(" for {}", counted(by_all, "thread")));
    result.remarks.push_back(fmt::format(
        "{} wants {} threads a worker, and {} runs {}: {}", asked.name, asked.threads,
        workers.size() == 1 ? "its worker" : "at least one of them", counted(most, "thread"), why));
  }
}

void remark_wide_workers(Plan& result, const PlanRequest& request, const Topology& topology) {
  for (std::size_t stage = 0; stage < request.stages.size(); ++stage) {
    if (request.stages[stage].threads < 2 || result.oversubscribed) continue;
    for (std::size_t worker = 0; worker < result.stages[stage].workers.size(); ++worker) {
      const CpuSet& units = result.stages[stage].workers[worker].units;
      const Units own =
          select(topology.units, [&](const ProcessingUnit& unit) { return units.contains(unit.os_index); });
      const bool together = std::all_of(own.begin(), own.end(), [&](const ProcessingUnit& unit) {
        return reach_between(own.front(), unit) < Reach::machine;
      });
      if (together) continue;
      result.remarks.push_back(fmt::format("{}/{} has {} units under no one cache, node or package",
                                           request.stages[stage].name, worker, own.size()));
    }
  }
}

}  // namespace sluice::pinning
