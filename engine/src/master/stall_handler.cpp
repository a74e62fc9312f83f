// SPDX-License-Identifier: Apache-2.0
#include "master/stall_handler.hpp"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/printable.hpp>

#include "death/report_file.hpp"
#include "layout/relaxed.hpp"
#include "master/autopsy.hpp"
#include "master/kernel_account.hpp"
#include "master/observe.hpp"

namespace sluice::detail {
namespace {

// relaxed throughout: words for people, and words of workers that are looked at again and again.

// It sleeps in a call outside that has said how long it may take, and takes longer: the event is not at fault. One that
// keeps a processor busy meanwhile is.
bool overran(const ipc::Control& control, const Watch& watch) noexcept {
  const auto busy = [&watch](std::chrono::nanoseconds cpu_time) { return cpu_time > watch.watched / 2; };
  return control.outside.until_ns.load(kRelaxed) != 0 &&
         std::none_of(watch.used.begin(), watch.used.end(), busy);
}

}  // namespace

void StallHandler::set_ticks() noexcept {
  const std::chrono::nanoseconds asked = tick_;
  for (const Child& child : children_) {
    tick_ = std::min(tick_, tick_for(asked, child.limits.deadline));
    idle_tick_ = std::min(idle_tick_, idle_tick_for(asked, child.limits.deadline));
  }
}

void StallHandler::look_at_workers() {
  bool all_idle = true;
  bool some_to_kill = false;
  const auto now = monotonic_now();
  for (Child& child : children_) {
    account(child, now - last_look_);
    if (child.pid == 0) continue;
    if (!child.stalled) {
      const Observation seen = observe(wiring_, child.worker, child.pid, child.watch);
      const Verdict verdict = judge(child.watch, seen, child.limits);
      note(child, verdict);
      if (verdict == Verdict::stopped) let_go_if_traced_by_us(child);
      if (verdict == Verdict::stalled) schedule_kill(child);
      all_idle = all_idle && verdict == Verdict::idle;
    } else if (child.to_kill && monotonic_now() >= child.to_kill->since + StackDumper::kCapture) {
      kill(child);
    }
    some_to_kill = some_to_kill || child.to_kill;
  }
  last_look_ = now;
  // A worker that has nothing to do cannot stall, so an idle pipeline is looked at seldom and costs nothing.
  next_look_ = monotonic_now() + (all_idle ? idle_tick_ : tick_);
  if (some_to_kill) next_look_ = std::min(next_look_, monotonic_now() + StackDumper::kCapture);
}

// Half of the time since the last look goes to what it was at then, half to what it is at now.
void StallHandler::account(Child& child, std::chrono::nanoseconds passed) noexcept {
  WorkerEntry& entry = wiring_.entry(child.worker);
  const auto add = [](std::atomic<std::uint64_t>& sum, std::chrono::nanoseconds time) {
    sum.store(sum.load(kRelaxed) + static_cast<std::uint64_t>(time.count()), kRelaxed);
  };
  const auto spent = [&](ipc::Activity activity, std::chrono::nanoseconds time) {
    if (activity == ipc::Activity::busy) add(entry.busy_ns, time);
    if (activity == ipc::Activity::idle || activity == ipc::Activity::finished) add(entry.waiting_ns, time);
    if (activity == ipc::Activity::full) add(entry.full_ns, time);
    if (activity == ipc::Activity::outside) add(entry.outside_ns, time);
  };
  const ipc::Control& control = wiring_.worker(child.worker).control();
  const bool here = child.pid != 0 && control.pid.load(kRelaxed) == child.pid;
  ipc::Activity now = here ? control.activity.load(kRelaxed) : ipc::Activity::none;
  // While it is away each new try is a part of the wait: it may take longer than the pauses between them.
  const bool tries = now == ipc::Activity::starting || now == ipc::Activity::busy;
  if (tries && control.outside.since_ns.load(kRelaxed) != 0) now = ipc::Activity::outside;
  spent(child.seen_at, passed / 2);
  spent(now, passed - passed / 2);
  add(entry.watched_ns, passed);
  child.seen_at = now;
}

void StallHandler::note(Child& child, Verdict verdict) {
  WorkerEntry& entry = wiring_.entry(child.worker);
  const auto before = static_cast<Verdict>(entry.verdict.load(kRelaxed));
  if (verdict == Verdict::starved && before != Verdict::starved) {
    entry.starved.store(entry.starved.load(kRelaxed) + 1, kRelaxed);
    news_.starves(child);
  }
  news_.stopped(child, verdict == Verdict::stopped);
  entry.verdict.store(static_cast<std::uint32_t>(verdict), kRelaxed);
  if (verdict == Verdict::outside) report_wait(child);
}

// A handler that has asked to be traced (PTRACE_TRACEME) is traced by its parent, and a signal that it gets stops it until that lets
// it go: a debugger does, and nobody of ours. The signal is handed on, so that it dies of it, or goes on, as any other.
void StallHandler::let_go_if_traced_by_us(Child& child) {
  const pid_t tracer = tracer_of(child.pid);
  if (tracer == 0 || (tracer != ::getpid() && tracer != wiring_.master().supervisor.pid.load(kRelaxed)))
    return;
  siginfo_t info{};
  const auto pidfd = static_cast<id_t>(child.pidfd.get());
  const bool waits = tracer == ::getpid() &&
                     ::waitid(static_cast<idtype_t>(P_PIDFD), pidfd, &info, WSTOPPED | WNOHANG) == 0 &&
                     info.si_pid == child.pid;
  const std::intptr_t signal = info.si_status;
  if (waits && ::ptrace(PTRACE_DETACH, child.pid, 0, signal) == 0) return;
  // The master that it was a child of is dead, or may not trace: it stands still for good.
  schedule_kill(child);
}

// A worker waits until the outside is there again: a line when that begins, and one when a drain is asked for and has
// to wait for it, too.
void StallHandler::report_wait(Child& child) {
  const ipc::Outside& outside = wiring_.worker(child.worker).control().outside;
  const std::int64_t since_ns = outside.since_ns.load(kRelaxed);
  if (since_ns == 0) return;  // A call that has said how long it may take.
  const bool draining = drain_asked(wiring_.requests(), wiring_.master());
  if (child.wait_told == since_ns && child.wait_told_draining == draining) return;
  // A service that comes and goes must not fill the disk.
  constexpr std::chrono::nanoseconds kBetweenLines = std::chrono::seconds{1};
  const auto now = monotonic_now();
  if (now < child.next_wait_line && child.wait_told_draining == draining) return;
  child.wait_told = since_ns;
  child.wait_told_draining = draining;
  child.next_wait_line = now + kBetweenLines;
  char text[ipc::kOutsideBytes];
  std::memcpy(text, outside.text,
              sizeof(text));  // It may be written anew meanwhile: what is read ends in any case.
  text[sizeof(text) - 1] = '\0';
  news_.waits_outside(child, text, draining);
  report_log_.append(fmt::format(R"({},"worker":"{}","pid":{},"outside":{},"for_ms":{},"draining":{})",
                                 report_head("waiting outside", wiring_.graph().name),
                                 wiring_.name(child.worker), child.pid, json_text(text),
                                 time_since(since_ns, now).count() / 1'000'000, draining));
}

// As soon as its stacks are taken.
void StallHandler::schedule_kill(Child& child) {
  child.stalled = true;
  child.overran = overran(wiring_.worker(child.worker).control(), child.watch);
  child.to_kill = Child::ToKill{monotonic_now(), child.watch.progress};
  news_.stalled(child);
  const std::string fields = fmt::format(
      R"({},"worker":"{}","pid":{},"incarnation":{},"event":{},)"
      R"("own_time_ms":{},"deadline_ms":{},"call_outside":{})",
      report_head("stall", wiring_.graph().name), wiring_.name(child.worker), child.pid,
      wiring_.worker(child.worker).control().incarnation.load(kRelaxed),
      event_text(wiring_, child.worker, event_named(child.to_kill->event)),
      child.watch.own_time.count() / 1'000'000, child.limits.deadline.count() / 1'000'000, child.overran);
  if (!dumper_.dump(fields, child.pid, child.pidfd.get())) kill(child);
}

// Whether it was: it dies in the event that it is blamed for, or not at all. Nothing can come in between
// while the dumper holds it; when it could not be stopped it may move on at this very instant, and then dies
// all the same.
bool StallHandler::kill(Child& child) noexcept {
  const ProgressSeen now = look_at(wiring_.worker(child.worker).control().progress);
  if (now != child.to_kill->event) {
    cancel_kill(child);
    return false;
  }
  child.to_kill.reset();
  send_signal(child.pidfd, SIGKILL);
  return true;
}

// It has moved on, and is watched anew.
void StallHandler::cancel_kill(Child& child) noexcept {
  child.watch = Watch{monotonic_now(), child.to_kill->event};
  child.to_kill.reset();
  child.stalled = false;
  child.overran = false;
}

Child* StallHandler::to_be_killed(pid_t pid) noexcept {
  const auto found = std::find_if(children_.begin(), children_.end(), [pid](const Child& child) {
    return child.pid != 0 && child.pid == pid && child.to_kill;
  });
  return found == children_.end() ? nullptr : &*found;
}

void StallHandler::on_dumper_event() noexcept {
  while (const auto event = dumper_.next_event()) {
    Child* child = to_be_killed(event->pid);
    switch (event->what) {
      case StackDumper::What::captured:
        dumper_.answer(event->pid, child != nullptr && kill(*child));
        break;
      case StackDumper::What::ended:
        if (child != nullptr) kill(*child);  // It may not have been possible to stop it.
        break;
    }
  }
}

}  // namespace sluice::detail
