// SPDX-License-Identifier: Apache-2.0
// The files that a pipeline's workers write: what they had written when a checkpoint was taken has to be on the disk before
// that is, or a power cut leaves a file that is shorter than the checkpoint says.
//
// By one thread. Blocks for as long as the disks do.
#pragma once

#include <map>
#include <sys/types.h>
#include <vector>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class WrittenFiles {
 public:
  // Brings to the disk what the processes have written into regular files until now: with all that their file systems
  // hold, since a worker that is dead has no files any more. `workers`: their pids; one that is 0, or that cannot be
  // looked at, has everything on this machine brought there. Throws Error when a disk does not take it, and from then on
  // each time: the kernel has dropped what was not taken, and a further try says nothing of that.
  void bring_to_disk(const std::vector<pid_t>& workers);

  // Of those that were seen.
  std::size_t file_systems() const noexcept { return open_.size(); }

 private:
  bool look_at(pid_t worker);

  std::map<dev_t, Descriptor> open_;  // A file or so of each.
  int lost_ = 0;                      // Why something was dropped; 0: nothing was.
};

}  // namespace sluice::detail
