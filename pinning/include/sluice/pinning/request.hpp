// SPDX-License-Identifier: Apache-2.0
// What a plan is asked for: a pipeline as the placement sees it, and what of the machine is spoken for.
//
// Plain values. Workers are numbered through the stages in their order: the first stage's workers first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/pinning/cpu_set.hpp>

namespace sluice::pinning {

enum class Policy {
  automatic,  // "auto": where the events have the shortest way.
  compact,    // As near to each other as there is room, in the order of the stages.
  spread,     // Round-robin over packages, nodes and L3 caches.
  floating,   // "float": on every unit that the plan may use, as the kernel likes.
  none        // As `floating`, on isolated, reserved and taken units too: the affinity mask as it stands.
};

std::string_view to_string(Policy policy);

// Throws sluice::Error that names the policies there are.
Policy parse_policy(std::string_view text);

// In a flow: the host, which has the inlets and outlets.
inline constexpr std::size_t kHost = static_cast<std::size_t>(-1);

// In place of a number of workers: as many as cores are left (cores.hpp).
inline constexpr unsigned kCores = static_cast<unsigned>(-1);

struct StageRequest {
  std::string name{};
  unsigned workers = 1;
  unsigned threads = 1;  // Cores of one worker: more than one under one cache, node or package.
  // Where its workers may run, as parse_place() reads it; empty: wherever the policy puts them.
  std::string place{};
  double load = 0;  // Processors that its workers kept busy together in an earlier run; 0 if not known.
  std::uint64_t region_bytes = 0;  // Of one worker, without its lanes; 0 if not known.
};

enum class Traffic { routed, broadcast, one_to_one };

// Which stage feeds which. A lane leads from each worker of the one to each of the other; one to one from worker
// i to worker i, and where the stages differ in size, i modulo the smaller one.
struct Flow {
  std::size_t from = kHost;  // An index of PlanRequest::stages, or kHost.
  std::size_t to = kHost;
  Traffic traffic = Traffic::routed;
  double rate = 0;  // Events a second that `from` pushes, measured by an earlier run; 0 if not known.
  // Events a second over each lane, measured: a row for each worker of `from`. Empty if not known.
  std::vector<double> lane_rates{};
  std::uint64_t lane_bytes = 0;  // Of one lane; 0 if not known.
};

// Units that somebody else's processes are bound to. The plan uses them when there are no others.
struct Claim {
  CpuSet units{};
  std::string owner{};  // "pipeline market (pid 4711)": for the remarks.
};

// What a line takes from unit to unit, measured on this machine.
struct MeasuredCosts {
  std::vector<unsigned> units{};      // By their OS number.
  std::vector<double> nanoseconds{};  // A row for each unit, a column for each; the diagonal does not count.
  // The units keep their neighbours. In a virtual machine they may wander between caches: then the plan keeps to
  // the topology's word and says that it cannot know.
  bool steady = true;
  std::string
      passed_over{};  // Why costs that are kept are not these: "FILE is damaged". Empty if there are no others.

  bool empty() const noexcept { return units.empty(); }
};

enum class Smt {
  last,   // SMT siblings carry a worker each once all cores have one.
  never,  // One worker for each core, and no more.
};

// What becomes of workers that have no unit of their own.
enum class Grouping {
  domain,  // Each floats over the units under the L3 cache of its group.
  unit,    // Each is bound to the unit of its group.
};

struct PlanRequest {
  std::vector<StageRequest> stages{};  // In the order of the flow.
  std::vector<Flow> flows{};           // Empty: each stage feeds the next, and the host is no end of any.
  Policy policy = Policy::automatic;
  CpuSet reserved{};             // Used by no process of the pipeline.
  std::vector<Claim> claims{};   // Of other pipelines.
  std::optional<CpuSet> host{};  // The host is bound to these already and stays there.
  MeasuredCosts costs{};         // Empty: nominal costs by the topology.
  Smt smt = Smt::last;
  bool isolated = false;  // Isolated units are asked for, and come first.
  Grouping grouping = Grouping::domain;
  // How far the search goes to prove that a small plan costs least: partial plans looked at. More of them find no
  // better plan as a rule; 50 million take some seconds.
  std::uint64_t most_nodes = 5'000;
};

}  // namespace sluice::pinning
