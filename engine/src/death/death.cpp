// SPDX-License-Identifier: Apache-2.0
#include "death/death.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "death/repeated_kills.hpp"

namespace sluice::detail {
namespace {

bool raised_by_itself(int signal) noexcept {
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGFPE:
    case SIGILL:
    case SIGSYS:
    case SIGTRAP:
    case SIGPIPE:  // The kernel's answer to what it did, to a limit or a timer of its own.
    case SIGXCPU:
    case SIGXFSZ:
    case SIGALRM:  // Of these no worker dies unless its handler took the default for them.
    case SIGVTALRM:
    case SIGPROF:
    case SIGIO:
      return true;
    default:
      return false;
  }
}

Death from_note(const Evidence& evidence) noexcept {
  switch (evidence.note) {
    case CrashKind::signal:
      return {Cause::crashed, evidence.note_signal, 0};
    case CrashKind::exception:
      return {Cause::threw, 0, kExitHandlerThrew};
    case CrashKind::out_of_memory:
      return {Cause::out_of_memory, 0, kExitHandlerThrew};
    default:
      return {Cause::outside, evidence.note_signal, 0};
  }
}

Death from_status(const WaitStatus& status, const Evidence& evidence) noexcept {
  if (status.exited) return {Cause::exited, 0, status.value};
  if (status.value == SIGKILL && evidence.out_of_memory_kill) return {Cause::out_of_memory, SIGKILL, 0};
  return {raised_by_itself(status.value) ? Cause::crashed : Cause::outside, status.value, 0};
}

}  // namespace

std::string_view name_of(Cause cause) noexcept {
  switch (cause) {
    case Cause::finished:
      return "finished";
    case Cause::hopeless:
      return "gave up";
    case Cause::outside:
      return "killed";
    case Cause::crashed:
      return "crashed";
    case Cause::threw:
      return "threw";
    case Cause::exited:
      return "exited";
    case Cause::out_of_memory:
      return "out of memory";
    case Cause::stalled:
      return "stalled";
    case Cause::overran:
      return "overran its call outside";
    case Cause::killed_in_event:
      return "killed in one event";
  }
  return "?";
}

Death death_of(const Evidence& evidence) noexcept {
  const std::optional<WaitStatus>& status = evidence.status;
  // Without a status the region has to do: a worker says that it has finished, or failed, last of all.
  const bool left = status ? status->exited : true;
  if (left && evidence.finished && (!status || status->value == kExitFinished))
    return {Cause::finished, 0, 0};
  // A handler can end with any status: that of a worker that gave up goes with a region that says so.
  if (evidence.gave_up &&
      (status ? status->exited && status->value == kExitHopeless : evidence.note == CrashKind::none)) {
    return {Cause::hopeless, 0, kExitHopeless};
  }
  if (evidence.ended_by_watchdog) return {evidence.overran ? Cause::overran : Cause::stalled, SIGKILL, 0};
  // It was sent several, and which of them ended it says nothing.
  if (evidence.note == CrashKind::outside_signal)
    return {Cause::outside, status ? status->value : evidence.note_signal, 0};
  const bool killed_after_note = status && !status->exited && status->value != evidence.note_signal;
  if (evidence.note != CrashKind::none && !killed_after_note) return from_note(evidence);
  return status ? from_status(*status, evidence) : Death{};
}

std::string to_text(const Death& death, std::string_view message) {
  switch (death.cause) {
    case Cause::stalled:
      return "the watchdog ended it: no progress within watchdog.deadline";
    case Cause::overran:
      return "the watchdog ended it: a call outside took longer than it had said";
    case Cause::threw:
      return fmt::format("its handler threw{}{}", message.empty() ? "" : ": ", message);
    case Cause::exited:
      if (death.exit_status == kExitCalled) return "it called exit()";
      if (death.exit_status == kExitNotAnew && !message.empty()) return std::string{message};
      return fmt::format("it ended with status {}{}{}", death.exit_status, message.empty() ? "" : ": ",
                         message);
    case Cause::out_of_memory:
      return death.signal == 0 ? fmt::format("out of memory{}{}", message.empty() ? "" : ": ", message)
                               : "out of memory, killed by the kernel";
    case Cause::killed_in_event:
      return fmt::format("signal {} ({}), {} times in a row in one event, and so taken for its own doing",
                         death.signal, ::strsignal(death.signal), kKillsInARow);
    default:
      if (death.signal == 0) return std::string{name_of(death.cause)};
      return fmt::format("signal {} ({})", death.signal, ::strsignal(death.signal));
  }
}

bool is_of_what_it_writes_to(const Death& death) noexcept {
  return death.cause == Cause::crashed && (death.signal == SIGPIPE || death.signal == SIGXFSZ);
}

bool is_earned(Cause cause) noexcept {
  switch (cause) {
    case Cause::crashed:
    case Cause::threw:
    case Cause::exited:
    case Cause::out_of_memory:
    case Cause::stalled:
    case Cause::killed_in_event:
      return true;
    default:
      return false;
  }
}

std::optional<EventName> event_of(const Blame& blame) noexcept {
  // relaxed: written by the process that asks, or before it was started.
  return event_named(blame.lane.load(std::memory_order_relaxed), blame.event.load(std::memory_order_relaxed));
}

std::uint32_t count_death(std::atomic<DeathCount>& count, std::int32_t pid) noexcept {
  // relaxed: the master's own words.
  const DeathCount known = count.load(std::memory_order_relaxed);
  if (known.pid == pid) return known.deaths;
  count.store({known.deaths + 1, pid}, std::memory_order_relaxed);
  return known.deaths + 1;
}

void forget_pid(std::atomic<DeathCount>& count, std::int32_t pid) noexcept {
  // relaxed: the master's own words.
  const DeathCount known = count.load(std::memory_order_relaxed);
  if (known.pid == pid) count.store({known.deaths, 0}, std::memory_order_relaxed);
}

std::uint32_t count_blame(std::span<Blame, kBlamesKept> blames, const EventName& event, const Death& death,
                          std::int32_t pid) noexcept {
  // relaxed throughout: the master's own words; a replacement is started after they are written.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const auto known = std::find_if(blames.begin(), blames.end(),
                                  [&event](const Blame& blame) { return event_of(blame) == event; });
  Blame& blame =
      known != blames.end()
          ? *known
          : *std::min_element(blames.begin(), blames.end(), [](const Blame& one, const Blame& other) {
              return one.attempts.load(kRelaxed).deaths < other.attempts.load(kRelaxed).deaths;
            });
  if (known == blames.end()) {
    // A master that dies in between leaves a count that belongs to no event.
    blame.event.store(0, kRelaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    blame.attempts.store({}, kRelaxed);
  }
  const std::uint32_t attempts = count_death(blame.attempts, pid);
  blame.cause.store(death.cause, kRelaxed);
  blame.signal.store(death.signal, kRelaxed);
  blame.exit_status.store(death.exit_status, kRelaxed);
  blame.lane.store(event.lane, kRelaxed);
  // A new master reads what this one left when it died: the compiler keeps the order.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  blame.event.store(event_word(event.position), kRelaxed);
  return attempts;
}

}  // namespace sluice::detail
