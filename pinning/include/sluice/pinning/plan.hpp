// SPDX-License-Identifier: Apache-2.0
// Decides where every process of a pipeline runs: a pure function of a topology and a request.
//
// The same input gives the same plan, so a plan can be printed, tested and rehearsed for any machine. Rules:
//  - A worker has a core of its own while there are cores: the faster kinds first, SMT siblings last of all.
//  - compact: the units come from the smallest of L3 cache, NUMA node, package and machine that has room, and
//    workers that follow each other in stage order stand next to each other. spread: workers go round-robin
//    over packages, nodes and L3 caches. none: every process may run on every allowed unit.
//  - Isolated units are left to those they are kept for; they are used only if nothing else is allowed, or by
//    policy none, which takes the affinity mask as it stands.
//  - The host and the master get what is left: cores without a worker before SMT siblings, and the node of
//    the first worker before other nodes. The host feeds the first stage, and it may have threads, so it gets
//    all of these units and not one. The master sleeps nearly always and is not counted as load.
//  - With no unit left for the host, or a CPU quota below one core for each worker and the host, the plan is
//    oversubscribed: every place is shared, and the remarks say so.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sluice/pinning/place.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

enum class Policy { compact, spread, none };

std::string_view to_string(Policy policy);  // "compact", "spread", "none".

// Throws sluice::Error that names the policies there are.
Policy parse_policy(std::string_view text);

struct StageRequest {
  std::string name{};
  unsigned workers = 1;
};

struct PlanRequest {
  std::vector<StageRequest> stages{};  // In the order of the flow: neighbours talk to each other.
  Policy policy = Policy::compact;
};

struct StagePlan {
  std::string name{};
  std::vector<Place> workers{};
};

struct Plan {
  Policy policy = Policy::compact;
  std::vector<StagePlan> stages{};  // As requested, in the same order.
  Place master{};
  Place host{};
  bool oversubscribed = false;
  std::vector<std::string> remarks{};  // Sentences for a person.
};

// Throws sluice::Error if a stage has no workers or no processing unit is allowed.
Plan plan(const Topology& topology, const PlanRequest& request);

// A table with a line for each process, then the remarks. Pure.
std::string to_text(const Plan& plan);

}  // namespace sluice::pinning
