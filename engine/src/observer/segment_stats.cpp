// SPDX-License-Identifier: Apache-2.0
#include "observer/segment_stats.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/state.hpp>
#include <sluice/worker.hpp>

#include "layout/verdict.hpp"

namespace sluice::detail {
namespace {

// How full its fullest lane is. relaxed throughout, here and below: a picture for people of words that move
// while it is taken.
double occupancy_of(const Layout& layout, const ipc::Segment& segment, const ProcessLayout& process) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  double most = 0;
  for (const std::size_t lane : process.lanes_in) {
    const ipc::LaneMemory memory = lane_memory(layout, segment, lane);
    const std::uint64_t head = memory.consumer->head.load(kRelaxed);
    const std::uint64_t fill = memory.producer->tail.load(kRelaxed) - head;
    const double share = static_cast<double>(fill) / static_cast<double>(memory.capacity_bytes);
    if (share <= 1) most = std::max(most, share);
  }
  return most;
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

void read_worker(const Layout& layout, const ipc::Segment& segment, std::size_t process, WorkerStats& stats) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const RegionView region = view_of(layout, segment, process);
  const WorkerEntry& entry = entry_of(layout, segment, process - kFirstWorker);
  stats.pid = entry.pid.load(std::memory_order_acquire);  // [entry.pid] pairs with Master::on_death().
  stats.incarnation = region.control->incarnation.load(kRelaxed);
  stats.verdict = name_of(static_cast<Verdict>(entry.verdict.load(kRelaxed)));
  stats.finished = region.cursors[kFinished].load(kRelaxed) != 0;
  stats.events_in = region.cursors[kEventsIn].load(kRelaxed);
  stats.events_out = region.cursors[kEventsOut].load(kRelaxed);
  stats.restarts = entry.restarts.load(kRelaxed);
  stats.starved = entry.starved.load(kRelaxed);
  const Cause last = entry.last_cause.load(kRelaxed);
  if (stats.restarts != 0) stats.last_death = name_of(last);
  stats.dead_letters = region.cursors[kDeadLetters].load(kRelaxed);
  stats.batches = region.counters->batches.value();
  stats.dropped = region.counters->dropped.value();
  stats.shed = region.counters->shed.value();
  stats.full_waits = region.counters->full_waits.value();
  stats.unasked_wakes = region.counters->unasked_wakes.value();
  stats.occupancy = occupancy_of(layout, segment, layout.processes[process]);
  stats.lives = lives_of(*region.control, entry);
}

void add_problems(const RegionView& region, const std::string& worker, Stats& stats) {
  const std::byte* piece = StateArea::find(region.state, kProblemsName, sizeof(Problems));
  if (piece == nullptr) return;
  const auto* problems = reinterpret_cast<const Problems*>(piece);
  const std::uint64_t count = problems->count;
  stats.problem_count += count;
  for (std::uint64_t i = 0; i < std::min(count, kProblemsKept); ++i) {
    stats.problems.push_back(fmt::format("{}: {}", worker, text_of(problems->text[i])));
  }
}

}  // namespace

void read_stats(const Layout& layout, const ipc::Segment& segment, Stats& stats) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const MasterRegister& master = register_of(layout, segment);
  stats.master = master.master.pid.load(kRelaxed);
  stats.supervisor = master.supervisor.pid.load(kRelaxed);
  stats.masters = master.masters.load(kRelaxed);
  stats.master_at_work = std::chrono::nanoseconds{master.at_work_ns.load(kRelaxed)};
  stats.observers_refused = master.observers_refused.load(kRelaxed);
  std::size_t process = kFirstWorker;
  for (StageStats& stage : stats.stages) {
    for (WorkerStats& worker : stage.workers) {
      read_worker(layout, segment, process, worker);
      add_problems(view_of(layout, segment, process), worker.name, stats);
      ++process;
    }
  }
}

}  // namespace sluice::detail
