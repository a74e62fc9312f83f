#include "watchdog.hpp"

namespace sluice {
namespace {

void restart_clock(Watch& watch, const Observation& seen) noexcept {
  watch.since = seen.now;
  watch.progress = seen.progress;
  watch.cpu_time.reset();
}

bool should_move(const Observation& seen) noexcept {
  switch (seen.activity) {
    case ipc::Activity::idle:
    case ipc::Activity::full:
      return seen.could_move;
    case ipc::Activity::none:
      return false;
    default:
      return true;  // Also finished and failed: its process has nothing left to do but to end.
  }
}

}  // namespace

std::string_view name_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::idle:
      return "idle";
    case Verdict::back_pressured:
      return "back-pressured";
    case Verdict::busy:
      return "busy";
    case Verdict::stalled:
      return "stalled";
    case Verdict::starved:
      return "starved";
    case Verdict::stopped:
      return "stopped";
    case Verdict::unkillable:
      return "unkillable";
    case Verdict::dead:
      return "dead";
    case Verdict::voided:
      return "void";
  }
  return "?";
}

bool is_suspicious(const Watch& watch, const Observation& seen) noexcept {
  return should_move(seen) && seen.progress == watch.progress;
}

Verdict judge(Watch& watch, const Observation& seen, const WatchLimits& limits) noexcept {
  const auto gap = seen.now - watch.last_look;
  watch.last_look = seen.now;
  if (gap > limits.late) {
    restart_clock(watch, seen);
    return Verdict::voided;
  }
  if (seen.account && (seen.account->state == 'T' || seen.account->state == 't')) {
    restart_clock(watch, seen);
    return Verdict::stopped;
  }
  if (!is_suspicious(watch, seen)) {
    restart_clock(watch, seen);
    if (should_move(seen)) return Verdict::busy;
    return seen.activity == ipc::Activity::full ? Verdict::back_pressured : Verdict::idle;
  }
  if (!seen.account) return Verdict::busy;  // It died meanwhile, and its pidfd will say so.
  if (!watch.cpu_time) watch.cpu_time = seen.account->cpu_time;

  const auto deadline = seen.activity == ipc::Activity::starting ? limits.start_deadline : limits.deadline;
  if (seen.now - watch.since < deadline) return Verdict::busy;
  if (seen.account->state == 'D') return Verdict::unkillable;
  if (seen.account->state == 'R') {
    return seen.account->cpu_time - *watch.cpu_time >= deadline ? Verdict::stalled : Verdict::starved;
  }
  return Verdict::stalled;
}

}  // namespace sluice
