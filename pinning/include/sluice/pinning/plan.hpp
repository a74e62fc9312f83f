// SPDX-License-Identifier: Apache-2.0
// Decides where every process of a pipeline runs: a pure function of a topology and a request.
//
// The same input gives the same plan, so a plan can be printed, tested and rehearsed for any machine. Rules:
//  - A worker has a core of its own while there are cores: the faster kinds first, SMT siblings last of all.
//  - auto: the events have the shortest way: the sum over all lanes of events and distance is as small as can be
//    found, and for a small pipeline as small as can be, which is proved. compact: the units come from the smallest
//    of L3 cache, NUMA node, package and machine that has room, and workers that follow each other in stage order
//    stand next to each other. spread: workers go round-robin over packages, nodes and L3 caches. float, none:
//    every process may run on every usable, or every allowed, unit.
//  - A stage that has been given a place is there under every policy, also beside others, which is said.
//  - A worker of several threads has as many cores, under one cache, node or package where there is room.
//  - Reserved units are never used. Isolated units are left to those they are kept for; they are used if they are
//    asked for, if nothing else is allowed, or by policy none, which takes the affinity mask as it stands. Units
//    that other pipelines claim are used if nothing else is left.
//  - The host and the master get what is left: cores without a worker before SMT siblings, and the node of
//    the worker it talks to before other nodes. The host may have threads, so it gets all of these units and not
//    one; a host that is bound already is planned around. The master sleeps nearly always and is not counted as load.
//  - With no unit left for the host, or a CPU quota below one core for each worker and the host, the plan is
//    oversubscribed: every place is shared, and the remarks say so.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <sluice/pinning/place.hpp>
#include <sluice/pinning/request.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

struct StagePlan {
  std::string name{};
  std::vector<Place> workers{};
};

// One lane, between two workers, numbered through the stages, or the host.
struct LanePlan {
  std::size_t flow = 0;  // In PlanRequest::flows, or in the chain that stands for none.
  std::size_t from = kHost;
  std::size_t to = kHost;
  int numa_node = -1;   // Of its memory: the consumer's. -1 if that one has none.
  double rate = 0;      // Events a second, or, where no rate is known, for each event of a source.
  double distance = 0;  // Nanoseconds between its ends.
};

struct Plan {
  Policy policy = Policy::automatic;
  std::vector<StagePlan> stages{};  // As requested, in the same order.
  Place master{};
  Place host{};
  std::vector<LanePlan> lanes{};  // By flow, then by producer, then by consumer.
  // The sum of rate and distance over all lanes: nanoseconds under way in a second, or for each event of a
  // source where no rate is known.
  double cost = 0;
  std::map<int, std::uint64_t> memory_bytes{};  // On each node, as far as sizes are known; -1: on any.
  bool measured_costs = false;                  // Distances are measured, and not nominal.
  bool optimal = false;  // No plan with a core for each worker costs less: this is proved.
  bool oversubscribed = false;
  std::vector<std::string> remarks{};  // Sentences for a person.
};

// A stage that asks for kCores gets what with_cores() gives it.
//
// Throws sluice::Error if a stage has no workers, a flow names a stage that there is not, or no processing unit
// is allowed.
Plan plan(const Topology& topology, const PlanRequest& request);

// A table with a line for each process, then the remarks. Pure.
std::string to_text(const Plan& plan);

}  // namespace sluice::pinning
