// SPDX-License-Identifier: Apache-2.0
// Whether the processes of a pipeline that a command looks at are still there. What they have written says so only of an end
// that one of them lived to write.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <sluice/stats.hpp>

namespace sluice::command {

// For one thread; throws nothing once it is made.
class Presence {
 public:
  // `pipeline` as for Observer::attach(), which has found it.
  explicit Presence(const std::string& pipeline);

  // Whether none of them is there any more. Asks once a second at most, by their observer socket, since their pids may be
  // those of another namespace; does not block.
  bool gone() noexcept;

  // What there is to say then.
  static constexpr const char* kGone =
      "its processes are gone before it came to an end: its program was killed";

 private:
  std::string socket_;
  std::chrono::steady_clock::time_point asked_;
  bool gone_ = false;
};

// Whether somebody has stopped the master of a pipeline (SIGSTOP, a debugger), by what the kernel says of that process: its numbers only show that
// its workers go on. Nothing: it cannot be seen from here, as in another pid namespace, or is not there.
std::optional<bool> is_master_stopped(const Stats& stats);
// What there is to say then; else empty.
std::string stopped_master_text(const Stats& stats);

}  // namespace sluice::command
