// SPDX-License-Identifier: Apache-2.0
// The settings as typed values: looked up by their names once, when an Engine is made. From then on none is
// looked up by its name: every process inherits these, and no lookup can fail once start() has begun. Where
// the reports and a named segment lie is settled when the Engine is made, too (host.cpp).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <sluice/detail/full_policy.hpp>
#include <sluice/detail/graph.hpp>
#include <sluice/detail/index.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/pinning/plan.hpp>
#include <sluice/settings.hpp>

#include "log/log_line.hpp"

namespace sluice::detail {

enum class WaitStrategy : std::uint8_t { spin, yield, sleep };

// How a process waits: the keys wait.*.
struct WaitSettings {
  WaitStrategy strategy = WaitStrategy::sleep;
  std::chrono::nanoseconds spin{0};
  std::chrono::nanoseconds yield{0};
  bool preempt = false;
};

enum class OversizePolicy : std::uint8_t { dead_letter, stop };

// Of one stage or source; of an inlet or outlet, what holds for all stages.
struct StageSettings {
  std::uint64_t workers =
      0;                 // As many as the program asks for, unless the user says otherwise; so are all sizes.
  unsigned threads = 1;  // Of one worker.
  std::uint64_t lane_slots = 0;  // Of a lane into it, for events of fixed size.
  std::uint64_t lane_bytes = 0;  // The same for records.
  std::uint64_t state_bytes = 0;
  std::uint64_t undo_bytes = 0;
  FullPolicy full = FullPolicy::block;  // Of the lanes into it.
  std::uint64_t batch_events = 1;
  std::optional<std::uint64_t> table_rows;  // Nothing: as many as the handler asks for.
  WaitSettings wait;
  std::uint64_t poison_attempts = 0;  // 0: no event is ever moved out of the way.
  std::chrono::nanoseconds deadline{0};
  std::chrono::nanoseconds linger{0};  // Of a source: how long its events wait for more of them.
  OversizePolicy oversize = OversizePolicy::dead_letter;
  std::chrono::nanoseconds outside_patience{0};  // 0: for ever.
  // Crashes of all its workers within crash.window, one more of which ends the pipeline. Nothing: any number.
  std::optional<std::uint64_t> crash_budget;
  bool after_checkpoint = false;     // It gets, and tells, only what a checkpoint holds.
  std::uint64_t latency_sample = 0;  // One of so many events is timed; 0: none.
  bool takes_cores = false;          // The number of workers is settled by worker_counts.hpp.
  std::string place;                 // As pinning::parse_place() reads it; empty: where the policy puts them.
};

enum class SpentBudgetPolicy : std::uint8_t { stop, shed };
enum class HostDeathPolicy : std::uint8_t { stop, drain };
// Of supervisor, master and a replacement until it is at work.
enum class MasterPriority : std::uint8_t { raised, normal };
// What of the segment a core dump holds.
enum class DumpedSegment : std::uint8_t { control, all };

// The keys restart.*, and poison.budget, which counts in the same window.
struct RestartSettings {
  std::size_t budget = 0;
  std::chrono::nanoseconds window{0};
  std::chrono::nanoseconds backoff{0};
  std::chrono::nanoseconds backoff_max{0};
  std::chrono::nanoseconds stable{0};
  SpentBudgetPolicy spent = SpentBudgetPolicy::stop;
  std::size_t letter_budget = 0;
  std::chrono::nanoseconds crash_window{0};  // Of StageSettings::crash_budget.
};

// The key power.latency.
enum class IdleStates : std::uint8_t { leave, try_shallow, hold_shallow };

// The key observe.socket.
struct ObserverSettings {
  enum class Socket : std::uint8_t { off, by_itself, at_path };
  Socket socket = Socket::off;
  std::string path;  // Of at_path.
};

// The keys placement.* that the plan goes by.
struct PlacementSettings {
  pinning::Policy policy = pinning::Policy::none;
  pinning::CpuSet reserved;
  bool isolated = false;
  pinning::Smt smt = pinning::Smt::last;
  std::string measured;  // By an earlier run, as with_measured() takes it.
};

// The keys memory.*.
struct MemorySettings {
  ipc::HugePages pool;                       // Of an anonymous segment.
  std::optional<std::size_t> collapse_from;  // Pieces as large as this get huge pages behind the start.
  bool lock = false;
};

// The keys checkpoint.*.
struct CheckpointSettings {
  std::string path;  // Absolute; empty: no checkpoints.
  std::chrono::nanoseconds every{0};
  unsigned keep = 1;
  bool sync = true;
  bool idle = true;
};

struct PipelineSettings {
  Indexed<NodeIndex, StageSettings> nodes;
  WaitSettings host_wait;
  RestartSettings restart;
  PlacementSettings placement;
  IdleStates idle_states = IdleStates::leave;
  ObserverSettings observers;
  LogSettings log;
  MemorySettings memory;
  CheckpointSettings checkpoints;
  std::chrono::nanoseconds watchdog_tick{0};
  bool claims = false;                 // Whether other pipelines are planned around, and know of this one.
  std::chrono::nanoseconds verify{0};  // Between two looks at the places; 0: none.
  HostDeathPolicy host_death = HostDeathPolicy::stop;
  MasterPriority master_priority = MasterPriority::raised;
  DumpedSegment dumped_segment = DumpedSegment::control;
  bool drill = false;      // SIGUSR2 makes a worker hang.
  int oom_score = 0;       // Of a worker, on top of the host's.
  std::string retry_path;  // Of dead letters that are to be handled once more; empty for none.
  std::uint64_t fingerprint = 0;
};

// Throws Error for a value that does not fit its setting, for a stage that there is not, and for a size that no program may ask for. Stages that ask
// for as many workers as there are cores have that for a number.
PipelineSettings resolve(const Settings& settings, const Graph& graph);

}  // namespace sluice::detail
