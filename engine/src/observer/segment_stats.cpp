// SPDX-License-Identifier: Apache-2.0
#include "observer/segment_stats.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/problems.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/framing.hpp>
#include <sluice/state.hpp>

#include "layout/verdict.hpp"
#include "observer/latency_stats.hpp"
#include "state/source_lags.hpp"

namespace sluice::detail {
namespace {

// How full a lane is, or the fullest lane of a process. relaxed throughout, here and below: a picture for people of
// words that move while it is taken.
double occupancy_of(const SegmentMap& map, LaneIndex lane) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const ipc::LaneMemory memory = map.lane(lane);
  const std::uint64_t head = memory.consumer->head.load(kRelaxed);
  const std::uint64_t fill = memory.producer->tail.load(kRelaxed) - head;
  const double share = static_cast<double>(fill) / static_cast<double>(memory.capacity_bytes);
  return share <= 1 ? share : 0;
}

double occupancy_of(const SegmentMap& map, const ProcessLayout& process) {
  double most = 0;
  for (const LaneIndex lane : process.lanes_in)
    most = std::max(most, occupancy_of(map, lane));
  return most;
}

// The lanes of one flow stand together.
void read_flows(const SegmentMap& map, std::vector<FlowStats>& flows) {
  LaneIndex lane;
  for (FlowStats& flow : flows) {
    flow.occupancy = 0;
    for (std::size_t i = 0; i < flow.lanes && lane.value() < map.layout().lanes.size(); ++i) {
      flow.occupancy = std::max(flow.occupancy, occupancy_of(map, lane));
      ++lane;
    }
  }
}

std::vector<LifeStats> lives_of(const ipc::Control& control, const WorkerEntry& entry) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  std::vector<LifeStats> lives;
  for (const ipc::Life& life : control.lives) {
    const std::uint32_t incarnation = life.incarnation.load(kRelaxed);
    if (incarnation == 0) continue;
    const auto& noticed = entry.noticed_ns[(incarnation - 1) % ipc::kLivesKept];
    lives.push_back({incarnation, std::chrono::nanoseconds{noticed.load(kRelaxed)},
                     std::chrono::nanoseconds{life.born_ns.load(kRelaxed)},
                     std::chrono::nanoseconds{life.ready_ns.load(kRelaxed)},
                     std::chrono::nanoseconds{life.first_event_ns.load(kRelaxed)},
                     life.input_at_ready.load(kRelaxed) != 0});
  }
  std::sort(lives.begin(), lives.end(),
            [](const LifeStats& a, const LifeStats& b) { return a.incarnation < b.incarnation; });
  return lives;
}

// A claim, copied while its owner may write it anew: what is read ends in any case.
void read_outside(const ipc::Control& control, WorkerStats& stats) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const std::int64_t since = control.outside.since_ns.load(kRelaxed);
  if (since == 0) return;
  char text[ipc::kOutsideBytes];
  std::memcpy(text, control.outside.text, sizeof(text));
  text[sizeof(text) - 1] = '\0';
  stats.outside = text;
  stats.outside_for = time_since(since, monotonic_now());
}

void read_place(const PlaceEntry& entry, WorkerStats& stats) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const pinning::Mask units = load_mask(entry.units);
  // Known stats have the place of the start.
  if (!pinning::is_empty(units)) stats.place = pinning::set_of(units).to_string();
  stats.displaced = entry.displaced.load(kRelaxed);
  stats.put_back = entry.put_back.load(kRelaxed);
  stats.planned_anew = entry.planned_anew.load(kRelaxed);
  if (const int refused = entry.refused.load(kRelaxed); refused != 0)
    stats.place_refused = errno_text(refused);
}

TimeStats time_of(const WorkerEntry& entry) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const auto read = [](const std::atomic<std::uint64_t>& ns) {
    // Times that can be subtracted, whatever stands there.
    constexpr std::uint64_t kMost = std::uint64_t{1} << 62U;
    return std::chrono::nanoseconds{static_cast<std::int64_t>(std::min(ns.load(kRelaxed), kMost))};
  };
  return {read(entry.watched_ns), read(entry.busy_ns), read(entry.waiting_ns), read(entry.full_ns),
          read(entry.outside_ns)};
}

std::uint64_t region_bytes(const SegmentMap& map, const ProcessLayout& process) {
  std::uint64_t bytes = process.plain_bytes;
  for (const LaneIndex lane : process.lanes_out)
    bytes += map.layout().lanes[lane].capacity_bytes;
  return bytes;
}

// Records lie behind their lengths, so that one has to go from one to the next while they move. Nothing when that did
// not come off.
std::optional<std::uint64_t> count_records(const ipc::LaneMemory& lane) {
  constexpr std::uint64_t kMost = 65'536;
  const std::uint64_t mask = lane.capacity_bytes - 1;
  std::uint64_t at = lane.consumer->head.load(std::memory_order_relaxed);
  // [lane.tail] acquire: the lengths before tail; pairs with LaneProducer::publish() and the commit.
  const std::uint64_t tail = lane.producer->tail.load(std::memory_order_acquire);
  if (tail - at > lane.capacity_bytes || at % ipc::kRecordHeaderBytes != 0) return std::nullopt;
  for (std::uint64_t count = 0; count < kMost; ++count) {
    if (at == tail) return count;
    const auto length = ipc::read_once(*reinterpret_cast<const std::uint64_t*>(lane.ring + (at & mask)));
    if (length > tail - at || ipc::record_stride(length) > tail - at) return std::nullopt;
    at += ipc::record_stride(length);
  }
  return std::nullopt;
}

void read_worker(const SegmentMap& map, const WorkerMemory& worker, WorkerStats& stats) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const WorkerEntry& entry = worker.entry();
  const ipc::Counters& counters = worker.counters();
  stats.pid = entry.pid.load(std::memory_order_acquire);  // [entry.pid] pairs with ExitHandler::on_exit().
  stats.incarnation = worker.control().incarnation.load(kRelaxed);
  stats.verdict = name_of(static_cast<Verdict>(entry.verdict.load(kRelaxed)));
  stats.finished = worker.cursors()[kFinished].load(kRelaxed) != 0;
  stats.events_in = worker.cursors()[kEventsIn].load(kRelaxed);
  stats.events_out = worker.cursors()[kEventsOut].load(kRelaxed);
  const DeathCount restarts = entry.restarts.load(kRelaxed);
  stats.restarts = restarts.deaths;
  // Counted, and not told yet: it is dead.
  if (restarts.pid == stats.pid) stats.pid = 0;
  stats.starved = entry.starved.load(kRelaxed);
  const Cause last = entry.last_cause.load(kRelaxed);
  if (stats.restarts != 0) {
    stats.last_death = name_of(last);
    stats.last_signal = entry.last_signal.load(kRelaxed);
  }
  read_place(entry.place, stats);
  stats.dead_letters = worker.cursors()[kDeadLetters].load(kRelaxed);
  stats.batches = counters.batches.value();
  stats.dropped = counters.dropped.value();
  stats.shed = counters.shed.value();
  stats.full_waits = counters.full_waits.value();
  stats.unasked_wakes = counters.unasked_wakes.value();
  stats.occupancy = occupancy_of(map, worker.layout());
  if (!stats.finished) read_outside(worker.control(), stats);
  stats.lives = lives_of(worker.control(), entry);
  stats.time = time_of(entry);
  stats.region_bytes = region_bytes(map, worker.layout());
}

void add_problems(const WorkerMemory& worker, const std::string& name, Stats& stats) {
  const std::byte* piece = StateArea::find(worker.state(), kProblemsName, sizeof(Problems));
  if (piece == nullptr) return;
  const auto* problems = reinterpret_cast<const Problems*>(piece);
  const std::uint64_t count = problems->count;
  stats.problem_count += count;
  for (std::uint64_t i = 0; i < std::min(count, kProblemsKept); ++i) {
    stats.problems.push_back(fmt::format("{}: {}", name, text_of(problems->text[i])));
  }
}

std::optional<LagStats> lag_of(const WorkerMemory& worker) {
  std::optional<LagStats> sum;
  for (const FoundLag& found : find_lags(worker.state())) {
    if (found.lag.told_ns == 0) continue;
    const std::chrono::system_clock::time_point told{
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds{found.lag.told_ns})};
    if (!sum) sum = LagStats{.told = told};
    sum->events += found.lag.events;
    sum->bytes += found.lag.bytes;
    sum->told = std::min(sum->told, told);
  }
  return sum;
}

// Has taken everything that a checkpoint holds, and there is more. Of a lane that waits for none its consumer is ahead.
bool waits_for_a_checkpoint(const SegmentMap& map, const ProcessLayout& worker) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  return std::any_of(worker.lanes_in.begin(), worker.lanes_in.end(), [&map](LaneIndex index) {
    const ipc::LaneMemory lane = map.lane(index);
    const std::uint64_t released = map.released(index).load(kRelaxed);
    return lane.consumer->head.load(kRelaxed) == released && released < lane.producer->tail.load(kRelaxed);
  });
}

void read_wait(const SegmentMap& map, const CheckpointStats& checkpoints, const WorkerMemory& worker,
               WorkerStats& stats) {
  if (checkpoints.failure.empty() || stats.finished || !stats.outside.empty()) return;
  if (stats.verdict != name_of(Verdict::idle) || !waits_for_a_checkpoint(map, worker.layout())) return;
  stats.verdict = "waiting for a checkpoint";
  stats.outside = checkpoints.failure;
  stats.outside_for = checkpoints.failing_for;
}

MemoryStats memory_stats(const SegmentMap& map, const MemoryStats& known) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const MasterRegister& master = map.master();
  const auto text_of_error = [](std::int32_t error) {
    return error == 0 ? std::string{} : errno_text(error);
  };
  return {.bytes = map.memory().memory_bytes(),
          .in_pool_2m = map.memory().huge_bytes(ipc::kTwoMib),
          .in_pool_1g = map.memory().huge_bytes(ipc::kOneGib),
          .collapsible = master.collapsible_bytes.load(kRelaxed),
          .collapsed = master.collapsed_bytes.load(kRelaxed),
          .settled = master.collapse_done.load(kRelaxed) != 0,
          .collapse_refused = text_of_error(master.collapse_error.load(kRelaxed)),
          .remark = known.remark,
          .lock_asked = master.lock_asked.load(kRelaxed) != 0,
          .locked = master.memory_locked.load(kRelaxed) != 0,
          .lock_refused = text_of_error(master.lock_error.load(kRelaxed))};
}

CheckpointStats checkpoint_stats(const MasterRegister& master) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  CheckpointStats stats;
  stats.wanted = master.checkpoint_round.load(kRelaxed) != 0;
  stats.written = master.checkpoints.load(kRelaxed);
  stats.failures = master.checkpoint_failures.load(kRelaxed);
  stats.bytes = master.checkpoint_bytes.load(kRelaxed);
  if (stats.written != 0) {
    stats.at =
        std::chrono::system_clock::time_point{std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds{master.checkpoint_at_ns.load(kRelaxed)})};
  }
  stats.pause = std::chrono::nanoseconds{master.checkpoint_pause_ns.load(kRelaxed)};
  stats.longest_pause = std::chrono::nanoseconds{master.checkpoint_longest_pause_ns.load(kRelaxed)};
  if (const std::int64_t since = master.no_checkpoint_since_ns.load(kRelaxed); since != 0) {
    stats.failing_for = time_since(since, monotonic_now());
    stats.failure = text_of(master.no_checkpoint_why);
  }
  return stats;
}

}  // namespace

void read_lanes(const SegmentMap& map, const std::vector<DescribedLane>& described,
                std::vector<LaneStats>& lanes) {
  lanes.clear();
  lanes.reserve(described.size());
  LaneIndex index;
  for (const DescribedLane& each : described) {
    const ipc::LaneMemory memory = map.lane(index);
    LaneStats lane{each.from, each.to, 0, std::nullopt, memory.capacity_bytes};
    const std::uint64_t head = memory.consumer->head.load(std::memory_order_relaxed);
    const std::uint64_t waiting = memory.producer->tail.load(std::memory_order_relaxed) - head;
    lane.bytes = waiting <= memory.capacity_bytes ? waiting : 0;
    lane.events =
        each.event_bytes != 0 ? std::optional{lane.bytes / each.event_bytes} : count_records(memory);
    lanes.push_back(std::move(lane));
    ++index;
  }
}

void read_counts(const SegmentMap& map, Stats& stats) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const MasterRegister& master = map.master();
  stats.state = name_of(master.state.load(kRelaxed));
  stats.host = map.host().control().pid.load(kRelaxed);
  stats.master = master.master.pid.load(kRelaxed);
  stats.supervisor = master.supervisor.pid.load(kRelaxed);
  stats.masters = master.masters.load(kRelaxed);
  stats.masters_displaced = master.place.displaced.load(kRelaxed);
  stats.master_at_work = std::chrono::nanoseconds{master.at_work_ns.load(kRelaxed)};
  stats.host_dropped = map.host().counters().dropped.value();
  stats.host_shed = map.host().counters().shed.value();
  stats.observers_refused = master.observers_refused.load(kRelaxed);
  stats.pages_looked_at = master.pages_looked_at.load(kRelaxed);
  stats.pages_elsewhere = master.pages_elsewhere.load(kRelaxed);
  stats.memory = memory_stats(map, stats.memory);
  stats.checkpoints = checkpoint_stats(master);
  stats.reports_lost = master.reports_lost.load(kRelaxed);
  read_flows(map, stats.flows);
  WorkerIndex index;
  for (StageStats& stage : stats.stages) {
    for (WorkerStats& worker : stage.workers) {
      const WorkerMemory memory = map.worker(index);
      read_worker(map, memory, worker);
      read_wait(map, stats.checkpoints, memory, worker);
      if (stage.source) worker.lag = lag_of(memory);
      add_problems(memory, worker.name, stats);
      ++index;
    }
  }
}

void read_stats(const SegmentMap& map, Stats& stats) {
  read_counts(map, stats);
  WorkerIndex first;
  for (StageStats& stage : stats.stages) {
    read_latencies(map, first, stage);
    for (std::size_t i = 0; i < stage.workers.size(); ++i)
      ++first;
  }
}

}  // namespace sluice::detail
