// SPDX-License-Identifier: Apache-2.0
// What the master does when a worker has died: who is to blame, the report, the replacement.

#include <csignal>
#include <cstring>
#include <ctime>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "death/backtrace.hpp"
#include "master/master.hpp"
#include "worker/retry.hpp"

namespace sluice::detail {
namespace {

std::string_view message_of(const ipc::Control& control) {
  return {control.message, ::strnlen(control.message, ipc::kMessageBytes)};
}

}  // namespace

void Master::on_death(WorkerIndex worker) {
  Child& child = children_[worker];
  // [entry.pid] release: the pid is withdrawn before it is reaped, so that whoever still reads it after
  // opening a pidfd holds the right process; pairs with Engine::signal_worker().
  wiring_.entry(worker).pid.store(0, std::memory_order_release);
  // Closing is not enough: the other workers inherited the description, and epoll would go on reporting it.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, child.pidfd.get(), nullptr);
  Descriptor dead = std::move(child.pidfd);
  // Nothing for a worker that this master found: it is not its child, and is reaped by whoever it is. The
  // replacement comes before the reaping, which takes the kernel a while.
  on_exit(worker, Reaper::status_of(dead));
  reaper_.reap(std::move(dead));
}

void Master::on_exit(WorkerIndex worker, const std::optional<siginfo_t>& status) {
  Child& child = children_[worker];
  const WorkerMemory memory = wiring_.worker(worker);
  WorkerEntry& entry = wiring_.entry(worker);
  const std::uint32_t incarnation = memory.control().incarnation.load(std::memory_order_relaxed);
  entry.noticed_ns[incarnation % ipc::kLivesKept].store(monotonic_now().count(), std::memory_order_relaxed);
  std::optional<WaitStatus> known;
  if (status) known = WaitStatus{status->si_code == CLD_EXITED, status->si_status};
  const Death death = find_cause(worker, known);
  entry.last_cause.store(death.cause, std::memory_order_relaxed);
  entry.last_signal.store(death.signal, std::memory_order_relaxed);
  if (death.cause == Cause::finished) {
    child.pid = 0;
    entry.done.store(1, std::memory_order_relaxed);
    --running_;
    return;
  }
  const Autopsy autopsy = examine(worker, death);
  child.pid = 0;
  entry.verdict.store(static_cast<std::uint32_t>(Verdict::dead), std::memory_order_relaxed);
  // The replacement first: it is waited for.
  const std::string failure = replace(worker, autopsy);
  report(worker, autopsy);
  if (!failure.empty()) end(RunState::failed, failure);
}

Autopsy Master::examine(WorkerIndex worker, const Death& death) {
  const Child& child = children_[worker];
  const ipc::Control& control = wiring_.worker(child.worker).control();
  const CrashNote& note = wiring_.worker(child.worker).crash_note();
  constexpr auto kRelaxed = std::memory_order_relaxed;  // As in find_cause().
  Autopsy autopsy;
  autopsy.death = death;
  autopsy.pid = child.pid;
  autopsy.incarnation = control.incarnation.load(kRelaxed);
  autopsy.event = control.progress.load(kRelaxed);
  autopsy.attempts = blame(worker, death);
  const bool spoke = has_taken_over(child) && note.incarnation.load(kRelaxed) == autopsy.incarnation;
  if (spoke && death.cause == Cause::crashed) autopsy.frames = frames_of(note);
  const ipc::Activity activity = control.activity.load(kRelaxed);
  const bool left_message = activity == ipc::Activity::failed || activity == ipc::Activity::hopeless;
  if (has_taken_over(child) && left_message) autopsy.message = message_of(control);
  return autopsy;
}

void Master::report(WorkerIndex worker, const Autopsy& autopsy) {
  const WorkerEntry& entry = wiring_.entry(worker);
  const EventName event = event_named(autopsy.event);
  const std::string fields = fmt::format(
      R"("report":"death","time":"{:%FT%TZ}","worker":"{}","pid":{},"incarnation":{},"cause":"{}","signal":{},)"
      R"("message":{},"event":"{:#x}","lane":{},"position":{},"attempts":{},"restarts":{},"settings":"{:016x}")",
      fmt::gmtime(std::time(nullptr)), wiring_.name(worker), autopsy.pid, autopsy.incarnation,
      name_of(autopsy.death.cause), autopsy.death.signal, json_text(autopsy.message), autopsy.event,
      event.lane, event.position, autopsy.attempts, entry.restarts.load(std::memory_order_relaxed),
      settings_fingerprint_);
  coroner_.examine({.fields_json = fields, .addresses = autopsy.frames}, report_path_);
}

// Before that, what the region says is about its predecessor.
bool Master::has_taken_over(const Child& child) const {
  const ipc::Control& control = wiring_.worker(child.worker).control();
  return control.pid.load(std::memory_order_relaxed) == child.pid;
}

Death Master::find_cause(WorkerIndex worker, const std::optional<WaitStatus>& status) {
  const Child& child = children_[worker];
  const WorkerMemory memory = wiring_.worker(worker);
  const CrashNote& note = wiring_.worker(child.worker).crash_note();
  // relaxed throughout: of a process that is dead.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  Evidence evidence;
  evidence.status = status;
  evidence.ended_by_watchdog = child.ended_by_watchdog;
  // Asked of the kernel only where it can matter.
  evidence.out_of_memory_kill = (!status || (!status->exited && status->value == SIGKILL)) &&
                                !child.ended_by_watchdog && memory_events_.somebody_was_killed();
  if (!has_taken_over(child)) return death_of(evidence);
  const ipc::Activity activity = memory.control().activity.load(kRelaxed);
  // Said only after the last commit and its rings: a process that had come less far is replaced once more.
  evidence.finished = activity == ipc::Activity::finished && memory.cursors()[kFinished].load(kRelaxed) != 0;
  evidence.gave_up = activity == ipc::Activity::hopeless;
  if (note.incarnation.load(kRelaxed) == memory.control().incarnation.load(kRelaxed)) {
    evidence.note = note.kind.load(kRelaxed);
    evidence.note_signal = note.signal.load(kRelaxed);
  }
  return death_of(evidence);
}

// True of an event that has been committed, and of what is no event: the last word, the calls of a source.
bool Master::is_done_with(WorkerIndex worker, std::uint64_t progress) const {
  const WorkerMemory memory = wiring_.worker(worker);
  const std::vector<LaneIndex>& lanes_in = memory.layout().lanes_in;
  const EventName event = event_named(progress);
  if (progress != 0 && event.lane == kRetryLane) {
    return memory.cursors()[kRetried].load(std::memory_order_relaxed) > Retry::number_at(event.position);
  }
  if (progress == 0 || event.lane >= lanes_in.size()) return true;
  const ipc::LaneMemory lane = wiring_.lane(lanes_in[event.lane]);
  return lane.consumer->head.load(std::memory_order_relaxed) > event.position;  // relaxed: its owner is dead.
}

std::uint32_t Master::blame(WorkerIndex worker, const Death& death) {
  Child& child = children_[worker];
  const ipc::Control& control = wiring_.worker(child.worker).control();
  constexpr auto kRelaxed = std::memory_order_relaxed;  // As in find_cause().
  const std::uint64_t progress = control.progress.load(kRelaxed);
  // A worker that has not begun an event was not killed by one: the word is its predecessor's.
  const ipc::Life& life = control.lives[control.incarnation.load(kRelaxed) % ipc::kLivesKept];
  const bool began = has_taken_over(child) && life.first_event_ns.load(kRelaxed) != 0;
  if (!is_earned(death.cause) || !began || child.most_attempts == 0 || is_done_with(worker, progress))
    return 0;
  WorkerEntry& entry = wiring_.entry(worker);
  for (Blame& earlier : entry.blames) {
    if (!is_done_with(worker, earlier.event.load(kRelaxed))) continue;
    earlier.event.store(0, kRelaxed);
    earlier.attempts.store(0, kRelaxed);
  }
  return count_blame(entry.blames, progress, death);
}

// Empty, or why there is no replacement.
std::string Master::replace(WorkerIndex worker, const Autopsy& autopsy) {
  Child& child = children_[worker];
  const std::string& name = wiring_.name(worker);
  if (autopsy.death.cause == Cause::hopeless) return fmt::format("{}: {}", name, autopsy.message);
  const WorkerMemory memory = wiring_.worker(worker);
  const auto now = monotonic_now();
  const ipc::Activity activity = memory.control().activity.load(std::memory_order_relaxed);
  const bool achieved =
      memory.commit().committed.load(std::memory_order_relaxed) != child.committed_at_birth ||
      activity == ipc::Activity::idle || activity == ipc::Activity::full;
  // A death that an event is to blame for has an end of its own: the event is moved out of the way.
  std::optional<std::chrono::nanoseconds> delay{0};
  child.starts.on_death(was_ready(child));
  if (autopsy.attempts == 0 || autopsy.attempts > child.most_attempts) {
    delay = child.budget.on_death(now, now - child.born, achieved, random_());
    if (!delay) return give_up(worker, budget_report(worker, autopsy));
  } else if (autopsy.attempts == child.most_attempts &&
             !child.letters.on_death(now, now - child.born, true, random_())) {
    return give_up(worker, letters_report(name, autopsy));
  }
  WorkerEntry& entry = wiring_.entry(worker);
  entry.restarts.store(entry.restarts.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  child.start_at = now + *delay;
  if (delay->count() == 0) start(worker);
  return {};
}

std::string Master::budget_report(WorkerIndex worker, const Autopsy& autopsy) const {
  const Child& child = children_[worker];
  const std::string cause = to_text(autopsy.death, autopsy.message);
  return to_text(SpentBudget{wiring_.name(worker), wiring_.settings().restart.budget, autopsy.event, cause,
                             child.starts});
}

std::string Master::letters_report(const std::string& worker, const Autopsy& autopsy) const {
  return fmt::format(
      "{} has moved {} events to the dead letters in {} within restart.window, and the next one has killed "
      "it {} times: {}; mend its handler or raise poison.budget",
      worker, wiring_.settings().restart.letter_budget, wiring_.reports().string(), autopsy.attempts,
      to_text(autopsy.death, autopsy.message));
}

}  // namespace sluice::detail
