// SPDX-License-Identifier: Apache-2.0
#include "master/autopsy.hpp"

#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include <sluice/printable.hpp>

#include "death/report_file.hpp"
#include "layout/relaxed.hpp"
#include "worker/retry.hpp"

namespace sluice::detail {
namespace {

// relaxed throughout: of a process that is dead.

// Of a program that was executed anew, and of which nothing more was heard.
constexpr const char* kNeverCame =
    "it was executed anew, and did not become the worker: its main calls sluice::executed_worker() first, "
    "and the program and its libraries have to be what they were";

std::string_view message_of(const ipc::Control& control) {
  return {control.message, ::strnlen(control.message, ipc::kMessageBytes)};
}

const ipc::Life& last_life(const ipc::Control& control) {
  return control.lives[control.incarnation.load(kRelaxed) % ipc::kLivesKept];
}

// Before that, what the region says is about its predecessor.
bool has_taken_over(const ipc::Control& control, const Child& child) {
  return control.pid.load(kRelaxed) == child.pid;
}

// True of an event that has been committed, and of what is no event: the last word, the calls of a source.
bool is_done_with(const Wiring& wiring, const WorkerMemory& memory, const std::optional<EventName>& event) {
  const std::vector<LaneIndex>& lanes_in = memory.layout().lanes_in;
  if (event && event->lane == kRetryLane)
    return memory.cursors()[kRetried].load(kRelaxed) > Retry::number_at(event->position);
  if (!event || event->lane >= lanes_in.size()) return true;
  return wiring.lane(lanes_in[event->lane]).consumer->head.load(kRelaxed) > event->position;
}

// Whether the event was in the handler, or the span that it is the first of.
bool was_in_hand(const Wiring& wiring, const Child& child, const std::optional<EventName>& event) {
  const WorkerMemory memory = wiring.worker(child.worker);
  // A worker that has not begun an event was not killed by one: the word is its predecessor's.
  const bool began = has_taken_over(memory.control(), child) &&
                     last_life(memory.control()).first_event_ns.load(kRelaxed) != 0;
  return began && !is_done_with(wiring, memory, event);
}

// Whether it is to blame, or one of the span.
bool is_to_blame(const Wiring& wiring, const Child& child, const Death& death,
                 const std::optional<EventName>& event) {
  return is_earned(death.cause) && child.most_attempts != 0 && was_in_hand(wiring, child, event);
}

// What it was at work on: an event, a span, or a batch whose flush was under way, or is done again event by event. Each of
// these events is a commit, by which they are numbered. Nothing for one that waited: whoever waits does nothing that kills.
std::optional<EventsInHand> events_in_hand(const Wiring& wiring, const Child& child) {
  const WorkerMemory memory = wiring.worker(child.worker);
  const ipc::Control& control = memory.control();
  if (!has_taken_over(control, child) || control.activity.load(kRelaxed) != ipc::Activity::busy)
    return std::nullopt;
  const ProgressSeen seen = look_at(control.progress);
  const std::optional<EventName> event = event_named(seen);
  if (event && !was_in_hand(wiring, child, event)) return std::nullopt;
  if (const std::uint64_t flushing = control.outside.flushing.load(kRelaxed); flushing != 0) {
    const std::uint64_t commits = memory.commit().committed.load(kRelaxed);
    return EventsInHand{kLastWord, commits, commits + flushing};
  }
  if (!event) return std::nullopt;
  return EventsInHand{event->lane, event->position, seen.span > 1 ? seen.span_end : event->position + 1};
}

Evidence evidence_of(const Wiring& wiring, const Child& child, const std::optional<WaitStatus>& status,
                     MemoryEvents& memory_events) {
  const WorkerMemory memory = wiring.worker(child.worker);
  const ipc::Control& control = memory.control();
  const CrashNote& note = memory.crash_note();
  Evidence evidence;
  evidence.status = status;
  evidence.ended_by_watchdog = child.stalled;
  evidence.overran = child.overran;
  // Asked of the kernel only where it can matter.
  evidence.out_of_memory_kill = (!status || (!status->exited && status->value == SIGKILL)) &&
                                !child.stalled && memory_events.explains_a_kill(child.born, monotonic_now());
  if (!has_taken_over(control, child)) return evidence;
  const ipc::Activity activity = control.activity.load(kRelaxed);
  // Said only after the last commit and its rings: a process that had come less far is replaced once more.
  evidence.finished = activity == ipc::Activity::finished && memory.cursors()[kFinished].load(kRelaxed) != 0;
  evidence.gave_up = activity == ipc::Activity::hopeless;
  if (note.incarnation.load(kRelaxed) == control.incarnation.load(kRelaxed)) {
    evidence.note = note.kind.load(kRelaxed);
    evidence.note_signal = note.signal.load(kRelaxed);
  }
  return evidence;
}

// How often the event has killed by now.
std::uint32_t count_attempt(const Wiring& wiring, const WorkerMemory& memory, const EventName& event,
                            const Death& death, pid_t pid) {
  for (Blame& earlier : memory.entry().blames) {
    if (!is_done_with(wiring, memory, event_of(earlier))) continue;
    earlier.event.store(0, kRelaxed);
    earlier.attempts.store({}, kRelaxed);
  }
  return count_blame(memory.entry().blames, event, death, pid);
}

}  // namespace

Death find_cause(const Wiring& wiring, Child& child, const std::optional<WaitStatus>& status,
                 MemoryEvents& memory_events) {
  Death death = death_of(evidence_of(wiring, child, status, memory_events));
  if (death.cause == Cause::outside && child.kills.are_own_doing(events_in_hand(wiring, child)))
    death.cause = Cause::killed_in_event;
  return death;
}

Autopsy examine(const Wiring& wiring, const Child& child, const Death& death) {
  const WorkerMemory memory = wiring.worker(child.worker);
  const ipc::Control& control = memory.control();
  const CrashNote& note = memory.crash_note();
  Autopsy autopsy;
  autopsy.death = death;
  autopsy.pid = child.pid;
  autopsy.incarnation = control.incarnation.load(kRelaxed);
  const ProgressSeen seen = look_at(control.progress);
  autopsy.event = event_named(seen);
  autopsy.span = seen.span;
  if (is_to_blame(wiring, child, death, autopsy.event)) {
    // A span of several says nothing about which of them it is: suspects.hpp.
    autopsy.cuts_span = seen.span > 1;
    autopsy.cuts_anew = autopsy.cuts_span && control.suspects.most.load(kRelaxed) == 0;
    if (!autopsy.cuts_span)
      autopsy.attempts = count_attempt(wiring, memory, *autopsy.event, death, child.pid);
  }
  const bool has_region = has_taken_over(control, child);
  const bool left_note = has_region && note.incarnation.load(kRelaxed) == autopsy.incarnation;
  if (left_note && death.cause == Cause::crashed) autopsy.frames = frames_of(note);
  const ipc::Activity activity = control.activity.load(kRelaxed);
  const bool left_message = activity == ipc::Activity::failed || activity == ipc::Activity::hopeless;
  if (has_region && left_message) autopsy.message = message_of(control);
  // One that had not taken its region yet was not ready.
  const ipc::Life& life = last_life(control);
  autopsy.was_ready = life.born_ns.load(kRelaxed) >= child.born.count() && life.ready_ns.load(kRelaxed) != 0;
  if (wiring.executes(child.worker) && has_region && autopsy.incarnation > 1 && !autopsy.was_ready &&
      autopsy.message.empty() && death.cause == Cause::exited && death.exit_status != kExitCalled)
    autopsy.message = kNeverCame;
  autopsy.achieved = memory.commit().committed.load(kRelaxed) != child.committed_at_birth ||
                     autopsy.cuts_span || activity == ipc::Activity::idle ||
                     activity == ipc::Activity::full || activity == ipc::Activity::standing ||
                     activity == ipc::Activity::outside;
  return autopsy;
}

std::string event_text(const Wiring& wiring, WorkerIndex worker, const std::optional<EventName>& event) {
  if (!event) return "null";
  const ProcessLayout& layout = wiring.layout().worker(worker);
  const std::uint64_t run = wiring.requests().run.load(kRelaxed);
  const std::uint64_t origin = origin_of(run, layout.node.value(), layout.replica) | event->lane;
  return json_text(to_string(EventId{origin, event->position}));
}

std::string fields_of(const Wiring& wiring, WorkerIndex worker, const Autopsy& autopsy) {
  const EventName event = autopsy.event.value_or(EventName{});
  return fmt::format(
      R"({},"worker":"{}","pid":{},"incarnation":{},"cause":"{}","signal":{},)"
      R"("message":{},"event":{},"lane":{},"position":{},"span":{},"attempts":{},"restarts":{},"settings":"{:016x}")",
      report_head("death", wiring.graph().name), wiring.name(worker), autopsy.pid, autopsy.incarnation,
      name_of(autopsy.death.cause), autopsy.death.signal, json_text(autopsy.message),
      event_text(wiring, worker, autopsy.event), event.lane, event.position, autopsy.span, autopsy.attempts,
      wiring.entry(worker).restarts.load(kRelaxed).deaths, wiring.settings().fingerprint);
}

}  // namespace sluice::detail
