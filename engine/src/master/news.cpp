// SPDX-License-Identifier: Apache-2.0
#include "master/news.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "graph/loose_ends.hpp"
#include "layout/relaxed.hpp"
#include "observer/segment_stats.hpp"

namespace sluice::detail {
namespace {

// relaxed throughout: words for people.

std::uint64_t letters_of(const Wiring& wiring, WorkerIndex worker) {
  return wiring.worker(worker).cursors()[kDeadLetters].load(kRelaxed);
}

std::string_view plural(std::uint64_t count) noexcept {
  return count == 1 ? "" : "s";
}

// Exact times are for the reports.
std::string rounded(std::chrono::nanoseconds time) {
  constexpr std::chrono::milliseconds kRough{1};
  if (time >= kRough) return format_duration(std::chrono::floor<std::chrono::milliseconds>(time));
  return format_duration(std::chrono::ceil<std::chrono::microseconds>(time));
}

// What a register keeps of a death.
std::string in_short(const Death& death) {
  return death.signal != 0 ? to_text(Death{Cause::outside, death.signal, 0}, {})
                           : std::string{name_of(death.cause)};
}

// What becomes of a worker that has died.
std::string fate_of(const Child& child, const WorkerEntry& entry, std::string_view failure) {
  if (!failure.empty()) return "the pipeline stops";
  if (entry.shed.load(kRelaxed) != 0) return "its budget is spent, and the others go on without it";
  const std::uint32_t restarts = entry.restarts.load(kRelaxed).deaths;
  if (!child.start_at) return child.pid == 0 ? "" : fmt::format("replaced (restart {})", restarts);
  const std::chrono::nanoseconds left = *child.start_at - monotonic_now();
  // It is due while the line about it is being written.
  if (left <= std::chrono::nanoseconds{0}) return fmt::format("to be replaced now (restart {})", restarts);
  return fmt::format("to be replaced in {} (restart {})", rounded(left), restarts);
}

}  // namespace

News::News(const Wiring& wiring, Log& log) : wiring_{wiring}, log_{log} {
  // What a former master or a former life has seen is no news.
  for (const WorkerIndex worker : wiring.workers())
    known_.push_back({.letters = letters_of(wiring, worker)});
  lost_reports_ = wiring.master().reports_lost.load(kRelaxed);
}

bool News::say(LogLevel level, std::string_view kind, WorkerIndex worker, std::string_view text) {
  return log_.say(level, kind, wiring_.name(worker), text);
}

void News::began() {
  for (const std::string& text : loose_ends(wiring_.graph()))
    log_.say(LogLevel::warning, kLooseEnd, {}, text);
}

void News::took_over(std::size_t living) {
  log_.say(LogLevel::warning, "master", {},
           fmt::format("the master died, and another has taken over: it found {} worker{} at work", living,
                       plural(living)));
}

void News::died(const Child& child, const Autopsy& autopsy, std::string_view failure) {
  known_[child.worker].stopped_since = {};
  known_[child.worker].stop_told = false;
  if (!log_.says(LogLevel::warning)) return;
  std::string text =
      fmt::format("{} died: {}", wiring_.name(child.worker), to_text(autopsy.death, autopsy.message));
  if (autopsy.death.cause == Cause::outside) text += ", from outside";
  if (autopsy.attempts != 0 && autopsy.event) {
    text +=
        fmt::format("; in the event {}, attempt {} of {}{}", event_text(wiring_, child.worker, autopsy.event),
                    autopsy.attempts, child.most_attempts,
                    autopsy.attempts >= child.most_attempts ? ": it becomes a dead letter" : "");
  }
  const std::string fate = fate_of(child, wiring_.entry(child.worker), failure);
  if (!fate.empty()) text.append("; ").append(fate);
  if (failure.empty() && !fate.empty()) text += budget_warning(child);
  const bool serious = !failure.empty() || wiring_.entry(child.worker).shed.load(kRelaxed) != 0;
  say(serious ? LogLevel::error : LogLevel::warning, "death", child.worker, text);
}

void News::died_untold(WorkerIndex worker, const Death& death) {
  say(LogLevel::warning, "death", worker,
      fmt::format("{} died: {}; the master died before it had said so", wiring_.name(worker),
                  in_short(death)));
}

// Once half of it is gone, behind each death that takes of it.
std::string News::budget_warning(const Child& child) {
  const RestartSettings& restart = wiring_.settings().restart;
  const std::size_t left = child.budget.left(monotonic_now());
  const std::size_t before = std::exchange(known_[child.worker].deaths_left, left);
  if (left >= before || left > restart.budget / 2 || wiring_.entry(child.worker).shed.load(kRelaxed) != 0)
    return {};
  return fmt::format("; {} more within {} end{} {}", left + 1, format_duration(restart.window),
                     left == 0 ? "s" : "",
                     restart.spent == SpentBudgetPolicy::stop ? "the pipeline" : "this worker");
}

void News::helper_died(std::string_view what) {
  log_.say(LogLevel::info, "helper", {}, fmt::format("the {} died, and another takes its place", what));
}

void News::stalled(const Child& child) {
  ++stalls_;
  say(LogLevel::warning, "stall", child.worker,
      fmt::format("{} stalled: {} in one event, and watchdog.deadline is {}; it is killed and replaced",
                  wiring_.name(child.worker), rounded(child.watch.own_time),
                  format_duration(child.limits.deadline)));
}

// On a machine that is busy it comes and goes.
void News::starves(const Child& child) {
  constexpr std::chrono::seconds kBetweenLines{10};
  const auto now = monotonic_now();
  auto& next = known_[child.worker].next_starved;
  if (now < next) return;
  next = now + kBetweenLines;
  say(LogLevel::warning, "starved", child.worker,
      fmt::format("{} starves: it has work, and the kernel lets it have too little of a processor",
                  wiring_.name(child.worker)));
}

void News::stopped(const Child& child, bool is) {
  // A drill or a look at its stack is over by then.
  constexpr std::chrono::nanoseconds kWorthALine = std::chrono::seconds{1};
  Known& known = known_[child.worker];
  if (!is) {
    if (std::exchange(known.stop_told, false))
      say(LogLevel::warning, "stopped", child.worker,
          fmt::format("{} goes on: it is stopped no more", wiring_.name(child.worker)));
    known.stopped_since = {};
    return;
  }
  const auto now = monotonic_now();
  if (known.stopped_since.count() == 0) known.stopped_since = now;
  if (known.stop_told || now - known.stopped_since < std::max(kWorthALine, child.limits.deadline)) return;
  known.stop_told = true;
  say(LogLevel::warning, "stopped", child.worker,
      fmt::format("{} is stopped, by a signal or a debugger, and left alone; its events wait (kill -CONT {})",
                  wiring_.name(child.worker), child.pid));
}

void News::push_waits(NodeIndex inlet, NodeIndex outlet, std::chrono::nanoseconds time) {
  log_.say(LogLevel::warning, "push waits", {},
           fmt::format("a push to the inlet '{}' waits for {} now: the outlet '{}' is full, and nothing was "
                       "pulled from it meanwhile; a thread that is to pull from it later waits for ever "
                       "(try_push(), or a thread of its own that pulls)",
                       wiring_.node(inlet).name, rounded(time), wiring_.node(outlet).name));
}

void News::waits_outside(const Child& child, std::string_view text, bool draining) {
  known_[child.worker].waits = true;
  say(LogLevel::warning, "waiting outside", child.worker,
      fmt::format("{}{} waits outside: {}", draining ? "the drain goes on when it is back: " : "",
                  wiring_.name(child.worker), text));
}

void News::displaced(std::string_view name, const Displaced& what) {
  log_.say(LogLevel::warning, "place", name,
           fmt::format("{} was found on the processing units {}, and its place is {}: {}{}{}", name,
                       what.found, what.units, what.did, what.why.empty() ? "" : ": ", what.why));
}

void News::not_planned(std::string_view units, std::string_view why) {
  log_.say(
      LogLevel::error, "place", {},
      fmt::format("the processing units are {} now, and no plan for them was made: {}; workers stay where "
                  "the kernel has put them",
                  units, why));
}

void News::pages_moved(int error) {
  if (error == 0) {
    log_.say(LogLevel::warning, "place", {},
             "memory was on another node than the worker that reads it, and was brought there");
    return;
  }
  log_.say(
      LogLevel::warning, "place", {},
      fmt::format("memory is on another node than the worker that reads it, and stays there: {}{}",
                  errno_text(error),
                  error == EPERM ? ", only a process with CAP_SYS_NICE moves what several have mapped" : ""));
}

void News::memory() {
  if (!log_.says(LogLevel::warning)) return;
  Stats stats;
  stats.memory.remark = wiring_.segment().huge_remark();
  read_stats(wiring_, stats);
  const std::string text = to_text(stats.memory);
  const bool lacks = !stats.memory.lock_refused.empty();
  if (!text.empty()) log_.say(lacks ? LogLevel::warning : LogLevel::info, "memory", {}, text);
}

void News::not_observed(std::string_view why) {
  log_.say(LogLevel::warning, "not observed", {},
           fmt::format("nobody can look at this pipeline while it runs (stats, top, park, drain): {}", why));
}

void News::observer_refused(std::uint32_t uid, std::int32_t pid, std::uint64_t refused) {
  log_.say(
      LogLevel::warning, "observer refused", {},
      fmt::format("an observer was refused: process {} of user {}, {} refused so far", pid, uid, refused));
}

void News::look(bool last) {
  if (!log_.says(LogLevel::error)) return;
  look_at_letters(last);
  look_at_lost_reports();
  look_who_is_back();
  log_.look();
}

void News::look_at_letters(bool all) {
  // An outside that refuses event after event must not hide what else is said.
  constexpr std::chrono::seconds kBetweenLines{1};
  const auto now = monotonic_now();
  for (const WorkerIndex worker : wiring_.workers()) {
    const std::uint64_t letters = letters_of(wiring_, worker);
    const std::uint64_t before = known_[worker].letters;
    if (letters <= before || (!all && now < known_[worker].next_letters)) continue;
    // One that is held back is said later.
    if (!log_.has_room(LogLevel::error)) continue;
    const bool said =
        say(LogLevel::error, "dead letter", worker,
            fmt::format("{} has moved {} event{} to the dead letters in {}; {} so far", wiring_.name(worker),
                        letters - before, plural(letters - before), wiring_.reports().string(), letters));
    if (!said) continue;
    known_[worker].letters = letters;
    known_[worker].next_letters = now + kBetweenLines;
  }
}

void News::look_at_lost_reports() {
  const std::uint64_t lost = wiring_.master().reports_lost.load(kRelaxed);
  const std::uint64_t before = lost_reports_;
  if (lost <= before || !log_.has_room(LogLevel::error)) return;
  const bool said = log_.say(LogLevel::error, "report lost", {},
                             fmt::format("{} report{} could not be written into {}; the pipeline goes on",
                                         lost - before, plural(lost - before), wiring_.reports().string()));
  if (said) lost_reports_ = lost;
}

void News::look_who_is_back() {
  for (const WorkerIndex worker : wiring_.workers()) {
    if (!known_[worker].waits || wiring_.worker(worker).control().outside.since_ns.load(kRelaxed) != 0)
      continue;
    known_[worker].waits = false;
    say(LogLevel::warning, "outside is back", worker,
        fmt::format("{} goes on: the outside is there again", wiring_.name(worker)));
  }
}

void News::checkpoint_written(std::uint64_t number, std::uint64_t bytes, std::uint64_t raw_bytes,
                              bool first) {
  const std::uint64_t failed = std::exchange(failed_checkpoints_, 0);
  next_checkpoint_line_ = {};
  if (failed == 0 && !first) return;
  const LogLevel level = failed == 0 ? LogLevel::info : LogLevel::warning;
  log_.say(level, "checkpoint", {},
           fmt::format("checkpoint {} is written: {} of {}{}", number, format_bytes(bytes),
                       format_bytes(raw_bytes),
                       failed == 0 ? "" : fmt::format("; {} before it were not", failed)));
}

void News::checkpoint_failed(std::string_view why, std::chrono::nanoseconds failing, bool something_waits) {
  constexpr std::chrono::seconds kBetweenLines{10};
  ++failed_checkpoints_;
  const auto now = monotonic_now();
  if (now < next_checkpoint_line_) return;
  next_checkpoint_line_ = now + kBetweenLines;
  log_.say(LogLevel::error, "checkpoint", {},
           fmt::format("no checkpoint was made{}, and {}: {}",
                       failing >= kBetweenLines
                           ? " for " + format_duration(std::chrono::floor<std::chrono::seconds>(failing))
                           : "",
                       something_waits ? "what waits for one stands still (outside.after=checkpoint)"
                                       : "the pipeline goes on",
                       why));
}

// Of this pipeline's whole life: the words are in the segment.
std::string News::what_happened() const {
  std::uint64_t restarts = 0;
  std::uint64_t letters = 0;
  for (const WorkerIndex worker : wiring_.workers()) {
    restarts += wiring_.entry(worker).restarts.load(kRelaxed).deaths;
    letters += letters_of(wiring_, worker);
  }
  const std::uint32_t masters = wiring_.master().masters.load(kRelaxed);
  const std::string lost = what_was_lost();
  if (restarts == 0 && letters == 0 && masters <= 1 && lost.empty()) return {};
  std::string text = fmt::format("{} restart{} of workers", restarts, plural(restarts));
  if (masters > 1) text += fmt::format(", {} of the master", masters - 1);
  text += fmt::format(", {} dead letter{}", letters, plural(letters));
  return text + lost;
}

// Each with a comma before it.
std::string News::what_was_lost() const {
  std::uint64_t dropped = wiring_.host().counters().dropped.value();
  std::uint64_t shed = wiring_.host().counters().shed.value();
  std::uint64_t outside_ns = 0;
  for (const WorkerIndex worker : wiring_.workers()) {
    dropped += wiring_.worker(worker).counters().dropped.value();
    shed += wiring_.worker(worker).counters().shed.value();
    outside_ns += wiring_.entry(worker).outside_ns.load(kRelaxed);
  }
  const std::uint64_t unmade = wiring_.master().checkpoint_failures.load(kRelaxed);
  const std::uint64_t reports = wiring_.master().reports_lost.load(kRelaxed);
  const std::chrono::nanoseconds outside{static_cast<std::int64_t>(outside_ns)};
  std::string text;
  const auto say_count = [&text](std::uint64_t count, std::string_view one, std::string_view many) {
    if (count != 0) text += fmt::format(", {} {}", count, count == 1 ? one : many);
  };
  say_count(stalls_, "stall", "stalls");
  say_count(dropped, "event dropped at a full lane", "events dropped at full lanes");
  say_count(shed, "event given up with a worker that is shed", "events given up with workers that are shed");
  say_count(unmade, "checkpoint not made", "checkpoints not made");
  say_count(reports, "report lost", "reports lost");
  if (outside >= std::chrono::milliseconds{1})
    text += fmt::format(", {} of waiting outside", rounded(outside));
  return text;
}

void News::ended(RunState state, std::string_view message) {
  const std::string happened = what_happened();
  LogLevel level = happened.empty() ? LogLevel::info : LogLevel::warning;
  const bool not_kept = state == RunState::finished && !message.empty();
  if (state == RunState::failed || not_kept) level = LogLevel::error;
  std::string text{name_of(state)};
  if (!happened.empty()) text.append(", with ").append(happened);
  if (!message.empty()) text.append(": ").append(message);
  look(true);
  log_.last_word(level, "end", text);
}

}  // namespace sluice::detail
