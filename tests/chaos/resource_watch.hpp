// SPDX-License-Identifier: Apache-2.0
// Whether the processes of a pipeline use more and more: descriptors and private memory of the host, the
// master and the others, early in a run against late in it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

#include "process_tree.hpp"

namespace chaos_test {

// Open descriptors of a process; 0 when it is gone.
std::size_t descriptors_of(pid_t pid);
// Memory that is a process's own (RssAnon); 0 when it is gone. Shared memory has its fixed size from the
// start.
std::size_t private_bytes_of(pid_t pid);

class ResourceWatch {
 public:
  // Called every few milliseconds by the host; looks some times a second. `progress` goes from 0 to 1;
  // returns what it was at the last look.
  double look(const std::function<double()>& progress);

  // What half of the looks found more of in the last third of the run than in the first, by more than accidents: one look may
  // meet a replacement that is being made, or whoever holds a descriptor of each process for a moment.
  std::vector<std::string> leaks() const;

  // "descriptors early/late: host 12/12, master 30/30 ..."
  std::string summary() const;

 private:
  // How often each figure was seen: there are few different ones, however long the run.
  using Seen = std::map<std::size_t, std::size_t>;
  struct Third {
    Seen descriptors;
    Seen private_kib;
  };

  static std::size_t median(const Seen& seen);
  void note(const std::string& kind, std::size_t third, pid_t pid);

  sluice::detail::PipelineProcesses processes_;
  std::map<std::string, std::array<Third, 3>> kinds_;  // By kind of process, for each third of the run.
  std::chrono::steady_clock::time_point next_look_{};
  double progress_ = 0;
};

}  // namespace chaos_test
