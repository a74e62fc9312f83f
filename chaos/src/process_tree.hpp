// SPDX-License-Identifier: Apache-2.0
// Which of a program's processes belong to its pipelines, found from outside by what the kernel tells of
// them.
//
// A pid can belong to another process by the time it is used, so every process here is held by a pidfd, and
// what is said of it was read while that pidfd was open and its process alive. Called by one thread at a
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

// What a process is to a pipeline. `newborn` has been forked and has not said yet what it will be.
enum class ProcessKind : std::uint8_t {
  other,
  worker,
  standby,
  dumper,
  log_writer,
  checkpointer,
  newborn,
  master,
  supervisor
};

std::string_view name_of(ProcessKind kind) noexcept;

// From its own name and what its parent is. Pure.
ProcessKind kind_of(std::string_view name, ProcessKind parent) noexcept;

struct FoundProcess {
  ProcessKind kind = ProcessKind::other;
  std::string name;
  char state = '?';  // As in /proc/PID/stat.
  pid_t pid = 0;
  Descriptor pidfd;
};

// Calls `found` for every descendant of `root`, which is this process or a child of it that has not been
// reaped, so that its pid is its own. Processes that come and go meanwhile may be missed. Throws Error if the
// kernel does not tell whose children processes are.
void visit_descendants(pid_t root, const std::function<void(FoundProcess)>& found);

// The processes of the pipelines below a root. What was found once stays known while it lives, also if its
// parents die and it becomes the child of a process elsewhere.
class PipelineProcesses {
 public:
  // Looks again. Sorted by kind, name and pid.
  const std::vector<FoundProcess>& look(pid_t root);

 private:
  std::vector<FoundProcess> known_;
};

bool is_gone(const Descriptor& pidfd) noexcept;

}  // namespace sluice::detail
