// SPDX-License-Identifier: Apache-2.0
// From `kill -9` of a worker to the first event of its replacement, from top to bottom in the order in which
// it happens. Three processes take part:
//
//     kernel                     master                                    standby: forked ahead, blocked on a pipe
//     the worker is dead
//     its pidfd is readable      ExitHandler::on_exit()
//                                  handle(): why it died, is an event
//                                    to blame
//                                  replace(): may it be replaced, when
//                                Spawner::start()
//                                  watch_over(): registers the standby
//                                  tells it which worker to be        -->  Spawner::become_worker()
//                                  says it, writes the report                sees its pid in the entry
//                                  reaps the dead process                    run_worker(): owns the region, binds
//                                prepares the next standby                     itself, recovers, constructs the
//                                                                              handler, rings its neighbours
//                                                                            WorkerLoop::step(): the first event
//
// The kernel tells of the death before the memory of the dead is taken down: mm_pin.hpp. run_worker() stands
// in worker/worker_process.cpp, the recovery in the constructor of WorkerLoop.
#include <csignal>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "death/words_of.hpp"
#include "master/exit_handler.hpp"
#include "master/newborn.hpp"
#include "master/spawner.hpp"
#include "worker/executed_program.hpp"
#include "worker/own_stack.hpp"
#include "worker/worker_process.hpp"

namespace sluice::detail {

// 1. The master learns of the death.
std::string ExitHandler::on_exit(WorkerIndex worker) {
  Child& child = children_[worker];
  const pid_t pid = child.pid;
  epoll_.remove(child.pidfd.get());
  Descriptor dead = std::move(child.pidfd);
  // Nothing for a worker that this master found: it is not its child, and its parent reaps it.
  const std::optional<siginfo_t> status = Reaper::status_of(dead);
  std::optional<WaitStatus> known;
  if (status) known = WaitStatus{status->si_code == CLD_EXITED, status->si_status};
  std::string failure = handle(worker, known);
  withdraw(worker, pid);
  // The replacement comes before the reaping, which takes the kernel a while.
  reaper_.reap(std::move(dead));
  return failure;
}

std::string ExitHandler::on_exit_unseen(WorkerIndex worker) {
  const pid_t pid = children_[worker].pid;
  std::string failure = handle(worker, std::nullopt);
  withdraw(worker, pid);
  return failure;
}

// A master that takes over finds the pid of the dead until all of the death is noted, and deals with it once more: what was
// counted is not counted again. One whose replacement comes later has none then.
void ExitHandler::withdraw(WorkerIndex worker, pid_t dead) {
  WorkerEntry& entry = wiring_.entry(worker);
  if (entry.pid.load(std::memory_order_relaxed) != dead) return;  // relaxed: own word.
  // [entry.pid] release: the pid is withdrawn before it is reaped, so that a process that still reads it
  // after opening a pidfd holds the right process; pairs with Engine::signal_worker().
  entry.pid.store(0, std::memory_order_release);
}

// 2. Why it died, and whether the event in its handler is to blame.
std::string ExitHandler::handle(WorkerIndex worker, const std::optional<WaitStatus>& status) {
  Child& child = children_[worker];
  WorkerEntry& entry = wiring_.entry(worker);
  // relaxed here and below: words for people, and of a process that is dead.
  const std::uint32_t incarnation =
      wiring_.worker(worker).control().incarnation.load(std::memory_order_relaxed);
  entry.noticed_ns[incarnation % ipc::kLivesKept].store(monotonic_now().count(), std::memory_order_relaxed);
  const Death death = find_cause(wiring_, child, status, memory_events_);
  entry.last_cause.store(death.cause, std::memory_order_relaxed);
  entry.last_signal.store(death.signal, std::memory_order_relaxed);
  if (death.cause == Cause::finished) {
    child.pid = 0;
    entry.done.store(1, std::memory_order_relaxed);
    --running_;
    return {};
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
  entry.untold.store(child.pid, std::memory_order_relaxed);
  const Autopsy autopsy = examine(wiring_, child, death);
  child.pid = 0;
  entry.verdict.store(static_cast<std::uint32_t>(Verdict::dead), std::memory_order_relaxed);
  // The replacement first: it is waited for.
  std::string failure = replace(worker, autopsy);
  news_.died(child, autopsy, failure);
  report(worker, autopsy);
  entry.untold.store(0, std::memory_order_relaxed);
  return failure;
}

// 3. Whether it is replaced, and when. Empty, or why the pipeline stops.
std::string ExitHandler::replace(WorkerIndex worker, const Autopsy& autopsy) {
  Child& child = children_[worker];
  if (autopsy.death.cause == Cause::hopeless)
    return fmt::format("{}: {}", wiring_.name(worker), autopsy.message);
  // No budget is spent on who need not come again. relaxed: own word.
  if (wiring_.master().parking.load(std::memory_order_relaxed) != Parking::no) return {};
  if (too_many_crashes(worker, autopsy)) return crashes_report(worker, autopsy);
  std::chrono::nanoseconds delay{0};
  child.starts.on_death(autopsy.was_ready);
  if (const auto report = why_not_replaced(child, autopsy, delay)) return give_up(worker, *report);
  WorkerEntry& entry = wiring_.entry(worker);
  count_death(entry.restarts, autopsy.pid);
  child.start_at = monotonic_now() + delay;
  if (delay.count() == 0) {
    spawner_.start(worker);
  } else {
    // It may have died between publishing and ringing, and its replacement, which rings for it, comes late.
    wiring_.ring_neighbours_of(worker);
  }
  return {};
}

// Nothing, and after which delay; or that the budget is spent. A death that an event is to blame for has an
// end of its own, since the event is moved out of the way: such moves are counted apart. A kill from outside
// ends no pipeline, but for a worker that has never come to work: what kills that one may be its own doing.
std::optional<std::string> ExitHandler::why_not_replaced(Child& child, const Autopsy& autopsy,
                                                         std::chrono::nanoseconds& delay) {
  const auto now = monotonic_now();
  const bool counts = is_earned(autopsy.death.cause) || child.starts.never_ready();
  delay = child.budget.pause(now - child.born, autopsy.achieved, random_());
  if (autopsy.cuts_span) {
    // It is halved a few times at most, and what is left becomes a letter. A handler that can bear no span at all would
    // begin anew with each one.
    if (autopsy.cuts_anew && !child.cuts.allows(now)) return budget_report(child, autopsy);
    return std::nullopt;
  }
  const bool blamed = autopsy.attempts != 0 && autopsy.attempts <= child.most_attempts;
  if (blamed && autopsy.attempts == child.most_attempts && !child.letters.allows(now))
    return letters_report(child, autopsy);
  // A handler that keeps what it prints dies in one event of many, and in another one each time.
  if (blamed && !is_of_what_it_writes_to(autopsy.death)) return std::nullopt;
  if (counts && !child.budget.allows(now)) return budget_report(child, autopsy);
  return std::nullopt;
}

// 4. A process for it: the standby, or, should there be none, a fork.
void Spawner::start(WorkerIndex worker) {
  Child& child = children_[worker];
  child.start_at.reset();
  // What is parked needs it no more: the next life starts there. relaxed: own word.
  if (wiring_.master().parking.load(std::memory_order_relaxed) != Parking::no) return;
  if (standby_.ready() && !begins_anew(worker)) {
    const pid_t pid = standby_.pid();
    child.pidfd = standby_.hand_over();
    watch_over(worker, pid, Watched::as_standby);
    enter(child);
    standby_.tell(worker);
    standby_due_ = monotonic_now() + kStandbyPause;
  } else if (const pid_t pid = fork_worker(worker); pid > 0) {
    failed_forks_ = 0;
    watch_over(worker, pid, Watched::not_yet);
    enter(child);
  } else {
    // Out of processes or memory, perhaps for a moment only.
    constexpr auto kRetry = std::chrono::milliseconds{10};
    constexpr unsigned kMostRetries = 500;
    if (++failed_forks_ > kMostRetries) {
      throw Error{{"fork", wiring_.name(worker), errno_text(),
                   "raise the limit of processes (ulimit -u) or give the machine more memory"}};
    }
    child.start_at = monotonic_now() + kRetry;
  }
}

// 5. The master watches over it,
void Spawner::watch_over(WorkerIndex worker, pid_t pid, Watched watched) {
  Child& child = children_[worker];
  const WorkerMemory memory = wiring_.worker(worker);
  const auto now = monotonic_now();
  child.pid = pid;
  child.born = now;
  // relaxed here and below: words of a worker that is not to be trusted anyway, or words for people.
  child.committed_at_birth = memory.commit().committed.load(std::memory_order_relaxed);
  child.watch = Watch{now, look_at(memory.control().progress)};
  child.stalled = child.overran = false;
  child.to_kill.reset();
  const int fd = child.pidfd.get();
  const bool done =
      watched == Watched::as_standby ? epoll_.change(fd, worker.value()) : epoll_.add(fd, worker.value());
  if (!done) throw Error{{"watch", wiring_.name(worker), errno_text(), ""}};
}

// and writes down who it is. One that was adopted stands there.
void Spawner::enter(const Child& child) {
  WorkerEntry& entry = wiring_.entry(child.worker);
  forget_pid(entry.restarts, child.pid);
  for (Blame& blame : entry.blames)
    forget_pid(blame.attempts, child.pid);
  entry.identity.store(identity_of(child.pidfd, child.pid), std::memory_order_relaxed);
  // [entry.pid] release: the identity before the pid; pairs with Engine::signal_worker(), with the worker's
  // own look in await_registration(), and with a next master's adopt().
  entry.pid.store(child.pid, std::memory_order_release);
}

bool Spawner::begins_anew(WorkerIndex worker) const noexcept {
  // relaxed: of a process that is dead.
  return wiring_.executes(worker) &&
         wiring_.worker(worker).control().incarnation.load(std::memory_order_relaxed) != 0;
}

// 6. In a fork that is going to be executed (worker/executed_life.hpp): its life begins here, so that whatever becomes of it is
// told as its death.
void Spawner::become_executed(WorkerIndex worker, bool bound) noexcept {
  let_go_of_the_masters();
  await_registration(wiring_.entry(worker), bound);
  take_region(wiring_, worker);
  try {
    execute(life_of(wiring_, worker, place_in(wiring_.entry(worker).place, places_[worker]), lifeline_.fd()));
  } catch (const std::exception& error) {
    leave_message(wiring_.worker(worker).control(), ipc::Activity::failed, words_of(error));
  }
  ::_exit(kExitNotAnew);
}

// 7. In the standby, which has been told which worker to be: it waits until it is written down, takes the
// region, recovers and goes to work.
void Spawner::become_worker(WorkerIndex worker, bool bound) noexcept {
  await_registration(wiring_.entry(worker), bound);
  const pinning::Place place = place_in(wiring_.entry(worker).place, places_[worker]);
  const bool hostile_input = wiring_.settings(worker).crash_budget.has_value();
  run_further_down(hostile_input ? draw_stack_offset() : 0, [&] { run_worker(wiring_, place, worker); });
}

}  // namespace sluice::detail
