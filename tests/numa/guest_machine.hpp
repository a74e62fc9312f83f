// SPDX-License-Identifier: Apache-2.0
// The machine and its processes as the kernel tells of them in /sys and /proc: what plans and reports are
// held against. None of it comes through hwloc or through the engine.
#pragma once

#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

#include <sluice/pinning/cpu_set.hpp>

namespace sluice::test {

using pinning::CpuSet;

struct Cpu {
  unsigned number = 0;
  CpuSet core;  // Itself and its SMT siblings, as far as they are online.
  CpuSet l3;    // Those that share its cache.
  int node = -1;
  int package = -1;
};

class Machine {
 public:
  static Machine read();

  const std::map<unsigned, Cpu>& cpus() const { return cpus_; }  // Those that are online.
  const Cpu& cpu(unsigned number) const { return cpus_.at(number); }
  CpuSet online() const;
  // Every core once, by the set of its units.
  std::vector<CpuSet> cores() const;
  std::vector<int> nodes() const;
  bool has_memory(int node) const { return memory_kib_.at(node) > 0; }
  // Where memory for the node comes from: itself, or the nearest node that has some.
  int memory_for(int node) const;

 private:
  std::map<unsigned, Cpu> cpus_;
  std::map<int, long> memory_kib_;
  std::map<int, std::vector<int>> distances_;  // To the nodes in rising order.
};

std::string first_line(const std::string& path);
// Throws std::runtime_error when the kernel refuses.
void write_line(const std::string& path, const std::string& line);

// The CPUs that each thread of a process may run on; empty for a process that is gone.
std::vector<CpuSet> cpus_of_threads(pid_t pid);
// The process's own, 0 for this one.
CpuSet cpus_of(pid_t pid);
// The memory policies that stand in its numa_maps for its stack, as "prefer:1".
std::string policy_of_stack(pid_t pid);
std::vector<pid_t> descendants_of(pid_t pid);

// This process, and those that it starts from now on, in a new control group that has `files`, as
// {{"cpuset.cpus", "8-11"}}. Gives its directory.
std::string enter_group(const std::string& name, const std::map<std::string, std::string>& files);

}  // namespace sluice::test
