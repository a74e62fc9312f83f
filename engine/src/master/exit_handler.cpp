// SPDX-License-Identifier: Apache-2.0
// What there is to the exit of a worker beside its replacement: the report, and what becomes of the pipeline
// when a budget is spent.
#include "master/exit_handler.hpp"

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>

#include "worker/left_commit.hpp"

namespace sluice::detail {

void ExitHandler::report(WorkerIndex worker, const Autopsy& autopsy) {
  const std::string fields = fields_of(wiring_, worker, autopsy);
  if (autopsy.frames.empty()) {
    report_log_.append(fields);
  } else {
    dumper_.report_backtrace(fields, autopsy.frames);
  }
}

void ExitHandler::tell_untold(WorkerIndex worker) {
  WorkerEntry& entry = wiring_.entry(worker);
  const ipc::Control& control = wiring_.worker(worker).control();
  // relaxed: this process's own region, and words for people.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const pid_t dead = entry.untold.load(kRelaxed);
  if (dead == 0) return;
  // Dealt with once more, which tells all of it.
  if (entry.pid.load(kRelaxed) == dead && entry.done.load(kRelaxed) == 0) return;
  Autopsy autopsy;
  autopsy.death = {entry.last_cause.load(kRelaxed), entry.last_signal.load(kRelaxed), 0};
  autopsy.pid = dead;
  // The replacement counts one more once it has the region.
  autopsy.incarnation = control.incarnation.load(kRelaxed) - (control.pid.load(kRelaxed) == dead ? 0 : 1);
  autopsy.message = "the master died before it had told of this death, and what else was known of it is lost";
  news_.died_untold(worker, autopsy.death);
  report(worker, autopsy);
  entry.untold.store(0, kRelaxed);
}

// The report, if the pipeline stops with it.
std::string ExitHandler::give_up(WorkerIndex worker, const std::string& report) {
  if (wiring_.settings().restart.spent == SpentBudgetPolicy::stop) return report;
  // It may have died behind the step by which its last batch counts and before its neighbours can see that.
  wiring_.own(process_of(worker));
  const bool is_sound = finish_left_commit(wiring_, worker);
  wiring_.own(kMasterProcess);
  if (!is_sound) return report + "; and the memory of it is damaged";
  shed(worker);
  return {};
}

void ExitHandler::shed(WorkerIndex worker) {
  WorkerEntry& entry = wiring_.entry(worker);
  entry.verdict.store(static_cast<std::uint32_t>(Verdict::shed), std::memory_order_relaxed);
  // relaxed: for a master that takes over; until it stands there, the worker is started once more.
  entry.done.store(1, std::memory_order_relaxed);
  // [entry.shed] release: the death of the worker is confirmed, and what it had published is all there will
  // be; pairs with InLane::producer_is_shed().
  entry.shed.store(1, std::memory_order_release);
  --running_;
  // Neighbours may wait for what will not come, or for room that is never made.
  wiring_.ring_all();
}

std::string ExitHandler::budget_report(const Child& child, const Autopsy& autopsy) const {
  const std::string cause = to_text(autopsy.death, autopsy.message);
  const std::string event = event_text(wiring_, child.worker, autopsy.event);
  return to_text(SpentBudget{wiring_.name(child.worker), wiring_.settings().restart.budget,
                             autopsy.event ? std::string_view{event} : std::string_view{}, cause,
                             child.starts, is_of_what_it_writes_to(autopsy.death)});
}

std::string ExitHandler::letters_report(const Child& child, const Autopsy& autopsy) const {
  return fmt::format(
      "{} has moved {} to the dead letters in {} within restart.window, and the next one has killed "
      "it {}: {}; mend its handler or raise poison.budget",
      wiring_.name(child.worker), counted(wiring_.settings().restart.letter_budget, "event"),
      wiring_.reports().string(), counted(autopsy.attempts, "time"), to_text(autopsy.death, autopsy.message));
}

bool ExitHandler::too_many_crashes(WorkerIndex worker, const Autopsy& autopsy) noexcept {
  // The halves of a span that is to blame are no further ones.
  if (autopsy.death.cause != Cause::crashed || (autopsy.cuts_span && !autopsy.cuts_anew)) return false;
  std::optional<RestartBudget>& budget = crashes_[wiring_.layout().worker(worker).node];
  return budget && !budget->allows(monotonic_now());
}

// Loud, and the end whatever restart.spent says: one that tries addresses has to stop.
std::string ExitHandler::crashes_report(WorkerIndex worker, const Autopsy& autopsy) const {
  return fmt::format(
      "the stage {} has crashed {} times within crash.window, the last time {} in {}: {}; what it was fed "
      "may be an "
      "attack: look at the dead letters and reports in {} before it is started again (crash.budget)",
      wiring_.stage(worker), *wiring_.settings(worker).crash_budget + 1, wiring_.name(worker),
      autopsy.event ? "the event " + event_text(wiring_, worker, autopsy.event) : std::string{"no event"},
      to_text(autopsy.death, autopsy.message), wiring_.reports().string());
}

}  // namespace sluice::detail
