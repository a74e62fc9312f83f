// SPDX-License-Identifier: Apache-2.0
#include "master/observe.hpp"

#include <algorithm>

#include "layout/relaxed.hpp"
#include "layout/standstill.hpp"
#include "master/kernel_account.hpp"

namespace sluice::detail {
namespace {

// relaxed throughout: words that move while they are read; the watchdog looks again and again.

bool input_waiting(const Wiring& wiring, WorkerIndex worker) noexcept {
  const std::vector<LaneIndex>& lanes = wiring.layout().worker(worker).lanes_in;
  // A source that has nothing now looks again every millisecond, and one that waits says until when.
  if (wiring.node(worker).kind == NodeKind::source) return true;
  bool all_ended = true;
  for (const LaneIndex lane : lanes) {
    const ipc::LaneMemory memory = wiring.lane(lane);
    const std::uint64_t head = memory.consumer->head.load(kRelaxed);
    const std::uint64_t tail = memory.producer->tail.load(kRelaxed);
    const std::atomic<std::uint64_t>* released = wiring.gate_of(lane);
    // What waits for a checkpoint is no input yet.
    if (released == nullptr ? tail != head : std::min(tail, released->load(kRelaxed)) > head) return true;
    all_ended = all_ended && tail == head && memory.producer->ended.load(kRelaxed) != ipc::kGoesOn;
  }
  return all_ended;  // It has its last word to say.
}

// How much room it waits for is not known here; in a lane that is empty there is room for anything.
bool outputs_empty(const Wiring& wiring, WorkerIndex worker) noexcept {
  const std::vector<LaneIndex>& lanes = wiring.layout().worker(worker).lanes_out;
  return std::all_of(lanes.begin(), lanes.end(), [&wiring](LaneIndex lane) {
    const ipc::LaneMemory memory = wiring.lane(lane);
    return memory.producer->tail.load(kRelaxed) == memory.consumer->head.load(kRelaxed);
  });
}

Observation words_of(const Wiring& wiring, WorkerIndex worker, pid_t pid) noexcept {
  const ipc::Control& control = wiring.worker(worker).control();
  Observation seen;
  seen.now = monotonic_now();
  seen.activity = control.activity.load(kRelaxed);
  seen.progress = look_at(control.progress);
  seen.declared = seen.now.count() < control.outside.until_ns.load(kRelaxed);
  if (seen.activity == ipc::Activity::idle) seen.could_move = input_waiting(wiring, worker);
  if (seen.activity == ipc::Activity::full) seen.could_move = outputs_empty(wiring, worker);
  if (seen.activity == ipc::Activity::standing)
    seen.could_move = !asks_to_stand(wiring.master().standstill.load(kRelaxed));
  // A new incarnation that has not taken its region yet is starting, whatever its predecessor did.
  if (control.pid.load(kRelaxed) != pid) seen.activity = ipc::Activity::starting;
  return seen;
}

}  // namespace

Observation observe(const Wiring& wiring, WorkerIndex worker, pid_t pid, const Watch& watch) noexcept {
  Observation seen = words_of(wiring, worker, pid);
  if (!is_suspicious(watch, seen)) return seen;
  // The time before the states, the states before the times: a wait for a processor that began before `now`
  // is then either over, and in its delay, or shows as state R.
  seen.account = kernel_account(pid);
  // The master may have been kept from running in between: an account that belongs to another event says
  // nothing.
  const Observation again = words_of(wiring, worker, pid);
  if (again.progress != seen.progress || again.activity != seen.activity ||
      again.could_move != seen.could_move || again.declared != seen.declared) {
    return again;
  }
  return seen;
}

}  // namespace sluice::detail
