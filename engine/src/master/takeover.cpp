// SPDX-License-Identifier: Apache-2.0
// How a master begins: it looks for the workers that a master before it has left, watches over those that
// live and replaces those that died meanwhile. For the first master there are none, and it starts them all.
//
// What the dead master was about, and what is found of it (its stores stand up to some point, in their
// order):
//
//   forked a worker, no pid stored yet   no pid: started here. The newborn has died with the master, and had not
//                                        touched the region (newborn.hpp)
//   stored identity, not yet the pid     the same
//   stored the pid                       found by pid and identity, alive or dead
//   dealt with the death of a worker     the pid of the dead: dealt with once more, and what is counted already is not counted
//                                        again. If it is replaced already, what was not told is told
//   withdrew the pid of a dead worker    no pid: its replacement is due, and started here
//   had begun to park                    what stands in the register: no worker is started, those that live stand still
//   was ending the pipeline, state not   workers found dead are started; requests are looked at, so that a stop
//   set                                  goes on; a pipeline that had failed fails once more
#include <algorithm>
#include <iterator>
#include <unistd.h>

#include <sluice/detail/clock.hpp>

#include "master/master.hpp"

namespace sluice::detail {

void Master::take_over() {
  introduce_itself();
  // All that live are watched over before anything is done that takes time or may end the pipeline.
  for (const WorkerIndex worker : wiring_.workers())
    adopt(worker);
  // The doorbell that announced a request may have been heard by a master that is dead now.
  look_at_requests();
  // A park that the master before had begun goes on; the workers may not have been rung. A checkpoint does not.
  if (wiring_.master().parking.load(std::memory_order_relaxed) == Parking::no) {  // relaxed: own word.
    standstill_.release();
  } else if (standstill_.asked()) {
    standstill_.ask();
  }
  for (const WorkerIndex worker : wiring_.workers()) {
    // relaxed: this process's own region.
    exits_.tell_untold(worker);
    if (wiring_.entry(worker).done.load(std::memory_order_relaxed) != 0 || children_[worker].pidfd) continue;
    if (children_[worker].pid == 0) {
      spawner_.start(worker);
    } else {
      end_if(exits_.on_exit_unseen(worker));
    }
  }
  // relaxed: own word.
  if (wiring_.master().masters.load(std::memory_order_relaxed) == 1) {
    news_.began();
  } else {
    news_.took_over(static_cast<std::size_t>(std::count_if(
        children_.begin(), children_.end(), [](const Child& child) { return child.pid != 0; })));
  }
  stalls_.begin();
  MasterRegister& own = wiring_.master();
  // relaxed: words for people; what is acted on goes by the workers' own words.
  own.at_work_ns.store(monotonic_now().count(), std::memory_order_relaxed);
  own.state.store(RunState::running, std::memory_order_relaxed);
}

void Master::introduce_itself() {
  MasterRegister& own = wiring_.master();
  const auto enter_process = [](ProcessEntry& entry, const Descriptor& pidfd, pid_t pid) {
    entry.pid.store(0, std::memory_order_relaxed);  // relaxed: between two stores there is no such process.
    entry.identity.store(identity_of(pidfd, pid), std::memory_order_relaxed);
    // [register.pid] release: the identity before the pid; pairs with Host::kill_control_plane().
    entry.pid.store(pid, std::memory_order_release);
  };
  enter_process(own.master, open_pidfd(::getpid()), ::getpid());
  enter_process(own.supervisor, supervisor_.pidfd, supervisor_.pid);
  own.masters.store(own.masters.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// Leaves the worker with a pid and no pidfd if it is dead and reaped by the process whose child it was.
void Master::adopt(WorkerIndex worker) {
  Child& child = children_[worker];
  const WorkerEntry& entry = wiring_.entry(worker);
  if (entry.done.load(std::memory_order_relaxed) != 0) {  // relaxed: this process's own region.
    exits_.count_as_done(worker);
    return;
  }
  // [entry.pid] acquire: pairs with Spawner::enter() of the master before.
  child.pid = entry.pid.load(std::memory_order_acquire);
  child.pidfd = find_process(child.pid, entry.identity.load(std::memory_order_relaxed));
  if (child.pidfd) spawner_.adopt(worker, child.pid);
  const ipc::Control& control = wiring_.worker(worker).control();
  // relaxed: what it says is believed as little as by the master before.
  const std::uint32_t incarnation = control.incarnation.load(std::memory_order_relaxed);
  const bool was_ready =
      std::any_of(std::begin(control.lives), std::end(control.lives),
                  [](const ipc::Life& life) { return life.ready_ns.load(std::memory_order_relaxed) != 0; });
  if (child.pid != 0 && was_ready) child.starts.was_ready_before();
  if (control.pid.load(std::memory_order_relaxed) == child.pid) {
    const ipc::Life& life = control.lives[incarnation % ipc::kLivesKept];
    const std::int64_t born_ns = life.born_ns.load(std::memory_order_relaxed);
    if (was_before(born_ns, child.born)) child.born = std::chrono::nanoseconds{born_ns};
  }
  // It worked before: its death would not be the first sign of a worker that never gets anywhere.
  child.committed_at_birth = ~std::uint64_t{0};
}

}  // namespace sluice::detail
