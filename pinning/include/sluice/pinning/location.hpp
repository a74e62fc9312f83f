// SPDX-License-Identifier: Apache-2.0
// Places as people write them: "0-3,8", "package:0", "package:0.core:0-3.pu:0", "cores", "ll_caches", "numa_domains".
//
// Numbers alone are the kernel's CPU numbers. Locations count as hwloc does, from 0 in the order of the machine and,
// behind a dot, within what stands before it; `3`, `0-3` and `all` are indexes. Several locations are joined by
// commas. A word of its own says that each worker gets a whole one of these: `cores`, `ll_caches`, `numa_domains`,
// `packages`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sluice/pinning/cpu_set.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

struct Location {
  // Where a worker gets a core inside: one set. Where it gets a whole one of many things: these.
  std::vector<CpuSet> sets{};
  bool whole = false;
  CpuSet
      not_allowed{};  // Units of the things that it names which this process may not use: they are left out.
};

// Throws sluice::Error with the text, the position in it and what would be valid there: for what is no place, for an
// index that the machine has not, for a CPU outside of the allowed units, and for a thing without an allowed one.
// `stage`, whose place it is, is named there.
Location parse_place(const Topology& topology, std::string_view text, std::string_view stage = {});

// A stage's place as the command line has it: "parse@package:0". Throws sluice::Error without a name or an '@'.
struct StageLocation {
  std::string stage{};
  std::string place{};
};
StageLocation parse_stage_location(std::string_view text);

}  // namespace sluice::pinning
