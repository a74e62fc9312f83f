// SPDX-License-Identifier: Apache-2.0
// The master's look at its workers, every tick of the watchdog, and what it does to those that stall.

#include <csignal>
#include <ctime>

#include <fmt/chrono.h>

#include "master/master.hpp"
#include "master/observe.hpp"

namespace sluice::detail {
namespace {

// relaxed throughout: words for people, and words of workers that are looked at again and again.
constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

void Master::look_at_workers() {
  reaper_.reap_late();
  bool all_idle = true;
  bool some_sentenced = false;
  for (const WorkerIndex worker : wiring_.workers()) {
    Child& child = children_[worker];
    if (child.pid == 0) continue;
    if (!child.ended_by_watchdog) {
      const Verdict verdict =
          judge(child.watch, observe(wiring_, worker, child.pid, child.watch), child.limits);
      look_at(worker, verdict);
      all_idle = all_idle && verdict == Verdict::idle;
    } else if (child.sentenced_at && monotonic_now() >= *child.sentenced_at + Coroner::kCapture) {
      carry_out(child);
    }
    some_sentenced = some_sentenced || child.sentenced_at;
  }
  // Nobody can stall who has nothing to do, so an idle pipeline is looked at seldom and costs nothing.
  next_look_ = monotonic_now() + (all_idle ? idle_tick_ : tick_);
  if (some_sentenced) next_look_ = std::min(next_look_, monotonic_now() + Coroner::kCapture);
}

void Master::look_at(WorkerIndex worker, Verdict verdict) {
  WorkerEntry& entry = wiring_.entry(worker);
  const auto before = static_cast<Verdict>(entry.verdict.load(kRelaxed));
  if (verdict == Verdict::starved && before != Verdict::starved) {
    entry.starved.store(entry.starved.load(kRelaxed) + 1, kRelaxed);
  }
  entry.verdict.store(static_cast<std::uint32_t>(verdict), kRelaxed);
  if (verdict == Verdict::stalled) sentence(worker);
}

void Master::sentence(WorkerIndex worker) {
  Child& child = children_[worker];
  const ipc::Control& control = wiring_.worker(child.worker).control();
  child.ended_by_watchdog = true;
  child.sentenced_at = monotonic_now();
  child.sentenced_for = child.watch.progress;
  const std::string fields = fmt::format(
      R"("report":"stall","time":"{:%FT%TZ}","worker":"{}","pid":{},"incarnation":{},"event":"{:#x}",)"
      R"("own_time_ms":{},"deadline_ms":{})",
      fmt::gmtime(std::time(nullptr)), wiring_.name(worker), child.pid, control.incarnation.load(kRelaxed),
      child.sentenced_for, child.watch.own_time.count() / 1'000'000,
      child.limits.deadline.count() / 1'000'000);
  const Examination examination{.fields_json = fields,
                                .pid = child.pid,
                                .pidfd = child.pidfd.get(),
                                .sentence = Sentence{&control.progress, child.sentenced_for}};
  if (!coroner_.examine(examination, report_path_)) carry_out(child);
}

void Master::carry_out(Child& child) noexcept {
  const ipc::Control& control = wiring_.worker(child.worker).control();
  // It is to die in the event that it is blamed for, or not at all.
  if (control.progress.load(kRelaxed) != child.sentenced_for) return spare(child);
  child.sentenced_at.reset();
  send_signal(child.pidfd, SIGKILL);
}

void Master::spare(Child& child) noexcept {
  child.sentenced_at.reset();
  child.ended_by_watchdog = false;
  child.watch = Watch{monotonic_now(), child.sentenced_for};
}

void Master::hear_coroner() {
  while (const auto finished = coroner_.next_finished()) {
    for (Child& child : children_) {
      if (child.pid == 0 || child.pid != finished->pid || !child.sentenced_at) continue;
      if (finished->outcome == Coroner::Outcome::spared) {
        spare(child);
      } else {
        carry_out(child);  // It may not have been possible to stop it.
      }
    }
  }
}

}  // namespace sluice::detail
