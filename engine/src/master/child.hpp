// SPDX-License-Identifier: Apache-2.0
// What the master remembers of one worker: the process that it is now, how it is watched, and what its deaths
// have cost so far. A new master begins with none of it but what stands in the segment (takeover.cpp).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <sys/types.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/index.hpp>

#include "death/repeated_kills.hpp"
#include "layout/resolved_settings.hpp"
#include "master/restart_budget.hpp"
#include "master/watchdog.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

struct Child {
  Child(WorkerIndex index, const PipelineSettings& pipeline, const StageSettings& stage)
      : worker{index},
        budget{{pipeline.restart.budget, pipeline.restart.window, pipeline.restart.backoff,
                pipeline.restart.backoff_max, pipeline.restart.stable}},
        letters{{pipeline.restart.letter_budget, pipeline.restart.window, {}, {}, {}}},
        cuts{{pipeline.restart.letter_budget, pipeline.restart.window, {}, {}, {}}},
        most_attempts{stage.poison_attempts} {
    constexpr int kStartsPerDeadline = 10;
    limits.deadline = stage.deadline;
    limits.start_deadline = limits.deadline * kStartsPerDeadline;
    limits.late = std::max(limits.deadline / 2, 10 * pipeline.watchdog_tick);
    limits.longest_wait = kLongestWait;
  }

  WorkerIndex worker;

  // The process; pid 0 while there is none.
  pid_t pid = 0;
  Descriptor pidfd;
  std::chrono::nanoseconds born{0};
  std::uint64_t committed_at_birth = 0;
  std::optional<std::chrono::nanoseconds> start_at;  // When its replacement is due.

  // How it is watched.
  ipc::Activity seen_at = ipc::Activity::none;  // At the last look.
  Watch watch;
  WatchLimits limits;
  bool stalled = false;  // It is to be killed for that, or has been.
  bool overran = false;  // That was in a call outside.
  struct ToKill {
    std::chrono::nanoseconds since{0};
    ProgressSeen event;  // It dies in this event, or not at all.
  };
  std::optional<ToKill> to_kill;  // While its stacks are being taken.
  // What has been reported of its waits for the outside: the last one, by its beginning.
  std::int64_t wait_told = 0;
  bool wait_told_draining = false;
  std::chrono::nanoseconds next_wait_line{0};

  // What its deaths have cost.
  RestartBudget budget;
  RestartBudget letters;  // Events moved out of the way are counted as restarts are, without pauses,
  RestartBudget cuts;     // and so are spans that are cut: once each, not once a half.
  RepeatedKills kills;    // From outside, in one event.
  StartRecord starts;
  std::uint64_t most_attempts = 0;
};

using Children = Indexed<WorkerIndex, Child>;

}  // namespace sluice::detail
