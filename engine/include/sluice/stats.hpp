// SPDX-License-Identifier: Apache-2.0
// Stats: what a running pipeline tells of itself, read from the segment without disturbing its processes.
//
// Plain values: any thread may keep and copy them, and nothing here throws or blocks. The numbers of a worker
// are read one after the other while it works on, so they may differ by what it did in between.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

// When one incarnation of a worker reached what, on CLOCK_MONOTONIC; zero: not yet.
struct LifeStats {
  std::uint32_t incarnation = 0;
  std::chrono::nanoseconds predecessor_dead{0};  // When the master learned of it.
  std::chrono::nanoseconds born{0};
  std::chrono::nanoseconds ready{0};
  std::chrono::nanoseconds first_event{0};
  bool input_at_ready = false;  // Events were waiting for it.
};

// How a worker has spent its time since the pipeline started, all its incarnations together: what the watchdog found
// it at, look by look (watchdog.tick), and so exact over seconds, not over milliseconds.
struct TimeStats {
  std::chrono::nanoseconds watched{
      0};                            // In all. What the others leave are starts, and times without a process.
  std::chrono::nanoseconds busy{0};  // In the handler, or about to be: a wait for a processor is in it.
  std::chrono::nanoseconds waiting{0};  // For input.
  std::chrono::nanoseconds full{0};     // For room in a lane: the stage behind is slower.
  std::chrono::nanoseconds outside{0};  // Until the outside was there again.
};

// What the kernel says of a worker's process.
struct UsageStats {
  std::chrono::nanoseconds cpu_time{0};  // Of this incarnation, user and system, all threads.
  // Its own memory. What it shares with those that it was forked from counts by its share, and the segment, which all
  // processes of the pipeline share, does not count.
  std::uint64_t own_bytes = 0;
};

// How long some of the events took since the pipeline began, in all lives of the worker: latency.sample says how many.
// Nothing of it is ever reset. Percentiles and bounds are right within 1 %, `most` and `sum` to the nanosecond.
struct LatencyStats {
  std::uint64_t count = 0;  // Events that were timed; 0: the rest is 0 as well.
  std::chrono::nanoseconds sum{0};
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p90{0};
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds p999{0};
  std::chrono::nanoseconds most{0};
  // Of bound i of kBounds: events that took less. For those who add up, or compare two looks.
  static constexpr std::size_t kBounds = 14;
  std::array<std::uint64_t, kBounds> below{};
  // 256 ns, and each next one four times as long: up to 17 s.
  static constexpr std::chrono::nanoseconds bound(std::size_t i) noexcept {
    return std::chrono::nanoseconds{std::int64_t{256} << (2 * i)};
  }
};

// How far a source is behind what it reads, as it has told last; NatsSource tells it.
struct LagStats {
  std::uint64_t events = 0;  // That wait behind the last one that it read.
  std::uint64_t bytes = 0;   // About: by the size of what it read last.
  std::chrono::system_clock::time_point told{};
};

struct WorkerStats {  // Of one worker, all its incarnations together where nothing else is said.
  std::string name;   // "parse/0"
  int pid = 0;        // 0 while it has no process.
  std::uint32_t incarnation = 0;
  std::string place;    // Processing units, "0-1".
  std::string verdict;  // "busy", "idle", ... as the watchdog sees it.
  bool finished = false;
  std::optional<LagStats> lag;              // Of a source that tells it; of several in one worker the sum.
  std::string outside;                      // What it waits for outside; empty while it does not.
  std::chrono::nanoseconds outside_for{0};  // How long it has been away.
  std::uint64_t events_in = 0;              // For a source, its calls.
  std::uint64_t events_out = 0;
  double occupancy = 0;  // Of its fullest input lane, 0 to 1.
  std::uint32_t restarts = 0;
  std::uint32_t starved = 0;       // Times it was kept from a processor for longer than an event may take.
  std::uint32_t displaced = 0;     // Times it was found on other units than its place's.
  std::uint32_t put_back = 0;      // Times it was put back there.
  std::uint32_t planned_anew = 0;  // Times it got another place, since the units had changed.
  std::string place_refused;       // Why it could not be put back; empty while it is in its place.
  std::string last_death;          // "crashed", "killed", "stalled", ...; empty while there was none.
  int last_signal = 0;             // What it died of then; 0 for none, or not known.
  std::uint64_t dead_letters = 0;  // Events that killed it too often.
  std::uint64_t batches = 0;
  std::uint64_t dropped = 0;
  std::uint64_t shed = 0;  // Events that it gave up because the worker that they were for is shed.
  std::uint64_t full_waits = 0;
  std::uint64_t unasked_wakes = 0;  // Must be 0: input that no doorbell announced.
  TimeStats time;
  LatencyStats lane;  // From when an event was published until the worker came to it. Of a source, nothing.
  LatencyStats
      handler;  // In the handler, without waits for room behind it; of handlers of spans, for a span.
  // From when that was published by a source or the host which the event comes from, step by step, until the worker had committed
  // its batch, with what a flush has done outside: of a last stage the whole way. Of a source, nothing.
  LatencyStats end_to_end;
  std::uint64_t region_bytes =
      0;  // Of the segment, what is this worker's: state, undo log, the lanes that it fills.
  std::optional<UsageStats> usage;  // By Observer::snapshot(); absent for a worker without a process.
  std::vector<LifeStats> lives;     // The last ones, oldest first.
};

struct StageStats {  // Of one stage.
  std::string name;
  bool source = false;
  std::vector<WorkerStats> workers;
  LatencyStats lane;  // Of all its workers.
  LatencyStats handler;
  LatencyStats end_to_end{};

  // Sums over the workers.
  std::uint64_t events_in() const noexcept;
  std::uint64_t events_out() const noexcept;
  std::uint32_t restarts() const noexcept;
  std::uint64_t dead_letters() const noexcept;
  // The fullest worker's, 0 to 1.
  double occupancy() const noexcept;
};

// The pages behind the segment. Sizes in bytes.
struct MemoryStats {
  std::uint64_t bytes = 0;
  std::uint64_t in_pool_2m = 0;  // In pages of 2 MiB of the machine's pool (hugetlb).
  std::uint64_t in_pool_1g = 0;
  std::uint64_t collapsible = 0;  // That the kernel is asked to put into huge pages behind the start,
  std::uint64_t collapsed = 0;    // and that it has.
  bool settled = false;           // No more will be.
  std::string collapse_refused;   // Why not more; empty while there is nothing to say.
  std::string remark;  // Why there are no more pages of the pool; empty if none were asked for in vain.
  bool lock_asked = false;
  bool locked = false;
  std::string lock_refused;
};

// Of this life of the pipeline; nothing without checkpoint.path.
struct CheckpointStats {
  bool wanted = false;
  std::uint64_t written = 0;
  std::uint64_t failures = 0;                               // That were put off, or could not be written.
  std::uint64_t bytes = 0;                                  // Of the last one's file.
  std::optional<std::chrono::system_clock::time_point> at;  // Of what instant the last one is.
  std::chrono::nanoseconds pause{0};  // How long all workers stood still for it, asking them included,
  std::chrono::nanoseconds longest_pause{0};  // and for any of them.
  // Since when none could be made, and why the last one was not: what waits for one (outside.after=checkpoint) waits, too.
  // 0 and empty: the last one was.
  std::chrono::nanoseconds failing_for{0};
  std::string failure{};
};

// All lanes from one stage or inlet to one stage or outlet.
struct FlowStats {
  std::string from;
  std::string to;
  std::size_t lanes = 0;
  double occupancy = 0;  // Of the fullest of them, 0 to 1.
};

// What a program tells of its pipeline: Engine::describe().
struct Fact {
  std::string name;
  std::string value;
};

struct Stats {  // Of a pipeline.
  std::string pipeline;
  std::string version;  // Of the library that runs it.
  std::vector<Fact> facts;
  std::chrono::nanoseconds started{0};  // This life of it, on CLOCK_MONOTONIC.
  std::string state;                    // "starting", "running", "finished", "stopped", "failed", "parked".
  std::vector<StageStats> stages;
  std::vector<FlowStats> flows;  // How they hang together.
  int host = 0;
  int master = 0;  // Pids of the last ones that are known.
  int supervisor = 0;
  std::uint32_t masters = 0;                   // How many there have been: one, and one for each that died.
  std::chrono::nanoseconds master_at_work{0};  // Since when the last one has watched all workers.
  std::uint32_t masters_displaced = 0;  // Times that it or the supervisor was found away from its place.
  std::uint64_t host_dropped = 0;       // Of what the host pushed: events that found a lane full (lane.full),
  std::uint64_t host_shed = 0;          // and those that were for a worker that is shed.
  std::uint64_t observers_refused = 0;  // Who wanted to look at it and belongs to another user.
  std::uint64_t problem_count = 0;      // Reported by handlers: Worker::report().
  std::vector<std::string> problems;    // The first of them, each with its worker's name.
  MemoryStats memory;
  CheckpointStats checkpoints;
  std::string reports;                // The directory of dead letters and reports; there once something is.
  std::uint64_t pages_looked_at = 0;  // Of a sample of the memory, on a machine with several nodes.
  std::uint64_t pages_elsewhere = 0;  // Of these, on another node than they were asked for.
  std::uint64_t reports_lost = 0;     // Reports of deaths and stalls that could not be written there.

  // The sum over the stages.
  std::uint64_t dead_letters() const noexcept;
  // Of all sources that tell theirs, with the oldest time; nothing if none does.
  std::optional<LagStats> lag() const noexcept;
};

// What waits in a lane.
struct LaneStats {
  std::string from;  // A worker, "parse/0", or an inlet.
  std::string to;    // A worker, or an outlet.
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t>
      events;  // Absent for records that move too fast to be counted, or are too many.
  std::uint64_t capacity_bytes = 0;
};

// A table for people: a heading, a line for each stage, and what went wrong. With the `seconds`, above 0,
// that passed since `before` was taken, it has events a second; with 0 it has none, and `before` may be
// empty.
std::string to_text(const Stats& now, const Stats& before, double seconds);
// Without a line's end: "memory: 1.1GiB, 1GiB of it in huge pages"; empty where nothing was asked for.
std::string to_text(const MemoryStats& memory);
// The same of the checkpoints: "checkpoints: 12, last 400 ms ago, 1.2 MiB, pause 310 us, at most 1.2 ms".
std::string to_text(const CheckpointStats& checkpoints);
// And of how far sources are behind: "12 events behind, about 1.2 MiB", with how old that is where it is not of now.
std::string to_text(const LagStats& lag);

}  // namespace sluice
