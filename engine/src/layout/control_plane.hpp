// SPDX-License-Identifier: Apache-2.0
// What the processes of the control plane tell each other and the workers through the segment: the host's
// requests, and the register in which the master writes down what it knows of every process.
//
// Each struct has one writer. A process that acts on a pid here looks for it by its identity: descriptor.hpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include <sluice/ipc/control.hpp>

#include "death/death.hpp"
#include "layout/place_entry.hpp"

namespace sluice::detail {

// What the host asks of the others.
struct Requests {
  // Written by the host only.
  std::atomic<std::uint32_t> drain;  // 1: sources end. It stays so in the next life: some may have ended.
  std::atomic<std::uint32_t> stop;   // 1: the master kills all workers and ends.
  std::atomic<std::uint32_t> park;   // 1: the workers stand still, and the master ends.
  // 1: a life of this memory began from a checkpoint. It stays so in the lives that go on from the memory.
  std::atomic<std::uint32_t> restored;
  // Of EventId: drawn before the first start, and never again. 0 in run_inline.
  std::atomic<std::uint64_t> run;
  // For the hash of the tables' keys: drawn with it, in run_inline as well.
  std::atomic<std::uint64_t> hash_seed;
  // Which start this is: higher with each start of this run, whatever it goes on from. 0 in run_inline.
  std::atomic<std::uint64_t> life;
  // Of run and hash_seed, written behind them: who goes on with others would find no row of any table.
  std::atomic<std::uint64_t> drawn_check;
};

enum class RunState : std::uint32_t {
  starting = 0,
  running = 1,
  finished = 2,
  stopped = 3,
  failed = 4,
  parked = 5
};

constexpr std::string_view name_of(RunState state) noexcept {
  switch (state) {
    case RunState::starting:
      return "starting";
    case RunState::running:
      return "running";
    case RunState::finished:
      return "finished";
    case RunState::stopped:
      return "stopped";
    case RunState::failed:
      return "failed";
    case RunState::parked:
      return "parked";
  }
  return "?";
}

constexpr bool is_over(RunState state) noexcept {
  return state >= RunState::finished && state <= RunState::parked;
}

// What the master knows of one worker.
struct WorkerEntry {
  // Written by the master only.
  std::atomic<std::int32_t> pid;  // 0 while there is none. No process takes the region before it stands here.
  std::atomic<std::uint32_t> verdict;
  std::atomic<std::uint32_t> done;  // 1: it has finished, or is shed, and will not run again.
  std::atomic<std::uint32_t> shed;  // 1: its budget is spent, and the others go on without it.
  std::atomic<std::int32_t> last_signal;
  std::atomic<std::uint32_t> starved;   // How often it began to be.
  std::atomic<DeathCount> restarts;     // Stored before the replacement is.
  std::atomic<std::uint64_t> identity;  // Of the process of that pid: descriptor.hpp.
  // When the master learned of the death of incarnation n; CLOCK_MONOTONIC, at n % kLivesKept.
  std::atomic<std::int64_t> noticed_ns[ipc::kLivesKept];
  std::atomic<Cause> last_cause;
  // The pid of one whose death is in neither the log nor the reports yet, while `last_cause` and `last_signal` are of it; 0: none.
  std::atomic<std::int32_t> untold;
  // How it has spent its time, as far as the looks of the masters tell: `watched_ns` in all, and of these in which
  // Activity. The rest is starts, and times without a process.
  std::atomic<std::uint64_t> watched_ns;
  std::atomic<std::uint64_t> busy_ns;
  std::atomic<std::uint64_t> waiting_ns;  // For input.
  std::atomic<std::uint64_t> full_ns;     // For room in a lane.
  std::atomic<std::uint64_t> outside_ns;  // For the outside.
  PlaceEntry place;
  Blame blames[kBlamesKept];
};

// A process of the control plane. A claim: the process that acts on it looks for it by its identity.
struct ProcessEntry {
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint64_t> identity;
};

// From `asked` on the workers stand still for good, and no worker is replaced.
enum class Parking : std::uint32_t { no = 0, asked = 1, stored = 2 };  // stored: in its last checkpoint.

struct MasterRegister {
  // Written by the master only; by the next one, once the death of the last is confirmed.
  std::atomic<RunState> state;
  std::atomic<std::uint32_t> host_gone;   // 1: the host is dead, and what it has published is the last of it.
  std::atomic<std::uint32_t> standstill;  // Odd: stand still at the next commit. layout/standstill.hpp.
  // Counts, while checkpoints are taken, how often all have stood still for one: page_stamps.hpp. 0: none are.
  std::atomic<std::uint32_t> checkpoint_round;
  std::atomic<Parking> parking;
  std::atomic<std::uint32_t> drain_asked;  // 1: by an operator, at the observer socket; as Requests::drain.
  std::atomic<std::uint32_t> masters;      // How many there have been.
  std::atomic<std::int64_t> at_work_ns;  // When the last of them began to watch all workers; CLOCK_MONOTONIC.
  ProcessEntry master;
  ProcessEntry supervisor;
  // Why it failed, or why no checkpoint keeps its end; valid once state says so.
  char message[ipc::kMessageBytes];
  std::atomic<std::uint64_t> observers_refused;
  std::atomic<std::uint64_t> reports_lost;  // Lines that could not be written.
  PlaceEntry place;                         // Of master and supervisor.
  SharedMask planned_for;                   // The units that the kernel granted when the places were planned.
  std::atomic<std::uint64_t> plans;         // How many there have been after the first.
  // By its memory keeper, while there is one.
  std::atomic<std::uint64_t>
      collapsible_bytes;                       // Of the segment, that are to get huge pages behind the start,
  std::atomic<std::uint64_t> collapsed_bytes;  // and that have got them.
  std::atomic<std::int32_t> collapse_error;    // Why not more of it has: errno.
  std::atomic<std::uint32_t> collapse_done;    // 1: there is nothing to wait for any more.
  std::atomic<std::uint32_t> lock_asked;
  std::atomic<std::uint32_t> memory_locked;    // 1: a process of the control plane holds it locked.
  std::atomic<std::int32_t> lock_error;        // Why none does: errno.
  std::atomic<std::uint64_t> pages_looked_at;  // Of the sample: page_sample.hpp.
  std::atomic<std::uint64_t> pages_elsewhere;  // Of these, on another node than asked for.
  // The instant of the newest checkpoint of this memory, noted before it is written: what is newer in its directory another
  // life has made, without it. Of all lives; it never goes back, as the clock may. CLOCK_REALTIME.
  std::atomic<std::int64_t> newest_checkpoint_ns;
  // Since when none can be written, and why: the last one failed. 0: it did not. CLOCK_MONOTONIC.
  std::atomic<std::int64_t> no_checkpoint_since_ns;
  char no_checkpoint_why[ipc::kMessageBytes / 2];
  // Of the checkpoints of this life, for people.
  std::atomic<std::uint64_t> checkpoints;          // Published.
  std::atomic<std::uint64_t> checkpoint_failures;  // That could not be: put off, or not written.
  std::atomic<std::int64_t> checkpoint_at_ns;      // Of what instant the last one is; CLOCK_REALTIME.
  std::atomic<std::uint64_t> checkpoint_bytes;     // Of its file.
  std::atomic<std::int64_t>
      checkpoint_pause_ns;  // How long all stood still for it, asking and releasing included,
  std::atomic<std::int64_t> checkpoint_longest_pause_ns;  // and for any.
};

// The host is dead and the pipeline goes on to its end: nothing follows what the host's lanes hold, and no
// process takes what is published for it.
inline bool host_gone(const MasterRegister& master) noexcept {
  // [master.host_gone] acquire: the last that the host has published; pairs with Master::on_host_end().
  return master.host_gone.load(std::memory_order_acquire) != 0;
}

// Sources and inlets come to their end: the host asks for it, or an operator does.
inline bool drain_asked(const Requests& requests, const MasterRegister& master) noexcept {
  // relaxed: seen late, it costs a batch more.
  return requests.drain.load(std::memory_order_relaxed) != 0 ||
         master.drain_asked.load(std::memory_order_relaxed) != 0;
}

}  // namespace sluice::detail
