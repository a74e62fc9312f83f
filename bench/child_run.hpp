// SPDX-License-Identifier: Apache-2.0
// One run of something in processes of its own: how long it took, what it cost, and what it counted.
//
// Each run is a child of the benchmark, so that one that starts threads leaves none behind for the next, and
// the CPU time of all its descendants can be asked for. A run that does not end is killed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sluice::bench {

// What the processes of a run tell the benchmark, in memory that all of them share.
struct Told {
  std::atomic<std::int64_t> first_ns;  // When the first event was made.
  std::atomic<std::int64_t> last_ns;   // When the last one was gathered.
  std::atomic<std::uint64_t> events;
  std::atomic<std::uint64_t> sum;
  std::atomic<std::uint32_t> receivers;  // That are there, where senders must wait for them.

  void begin() noexcept;
  void end(std::uint64_t counted, std::uint64_t summed) noexcept;
  double seconds() const noexcept { return static_cast<double>(last_ns.load() - first_ns.load()) * 1e-9; }
};

struct ChildRun {
  double wall_s = 0;
  double cpu_s = 0;     // User and system, of the child and all its descendants.
  std::string problem;  // Empty when it ended with status 0.
};

// The same memory for every run; cleared by run_child().
Told& told();

// Forks, and waits for the end of what was forked: not longer than 20 s. The child ends with the status
// that `work` returns; an exception is a problem.
ChildRun run_child(const std::function<int()>& work);
// The same with a program; what it prints goes nowhere.
ChildRun run_program(const std::vector<std::string>& command);

}  // namespace sluice::bench
