// SPDX-License-Identifier: Apache-2.0
#include "sluice/main.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/chaos.hpp>
#include <sluice/cli.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/detail/counted.hpp>
#include <sluice/detail/injected_variables.hpp>
#include <sluice/detail/interruption.hpp>
#include <sluice/detail/journal.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "live_table.hpp"
#include "log_above_table.hpp"
#include "service_manager.hpp"

namespace sluice {

using namespace detail;

namespace {

volatile std::sig_atomic_t interrupts = 0;
volatile std::sig_atomic_t first_interrupt = 0;

void count_interrupt(int signal) {
  if (!is_another_signal(signal)) return;
  if (interrupts == 0) first_interrupt = signal;
  interrupts = interrupts + 1;
}

// Counts the signals that ask for an end from here on, and gives the host's handlers back at the end: Ctrl-C
// must not be deaf then. One that is ignored stays so: nohup and a shell's background mean it. One that was blocked
// is not any more, so that who starts this process may ask it for its end before it counts.
class Interrupts {
 public:
  Interrupts() {
    interrupts = 0;
    first_interrupt = 0;
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      before_[i] = std::signal(kSignals[i], count_interrupt);
      if (before_[i] == SIG_IGN) std::signal(kSignals[i], SIG_IGN);
    }
    sigset_t counted;
    ::sigemptyset(&counted);
    for (const int signal : kSignals)
      ::sigaddset(&counted, signal);
    detail::end_waits_by(&interrupts);
    ::pthread_sigmask(SIG_UNBLOCK, &counted, &blocked_before_);
  }
  ~Interrupts() {
    detail::end_waits_by(nullptr);
    ::pthread_sigmask(SIG_SETMASK, &blocked_before_, nullptr);
    for (std::size_t i = 0; i < kSignals.size(); ++i)
      std::signal(kSignals[i], before_[i]);
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

 private:
  static constexpr std::array<int, 3> kSignals{SIGINT, SIGTERM, SIGHUP};
  std::array<void (*)(int), kSignals.size()> before_{};
  sigset_t blocked_before_{};
};

double seconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// That restart.spent=shed lets the others go on does not make what they have done without it whole. True if there is none.
bool report_shed_workers(const Stats& stats) {
  bool none = true;
  for (const StageStats& stage : stats.stages) {
    for (const WorkerStats& worker : stage.workers) {
      if (worker.finished || worker.verdict != "shed") continue;
      none = false;
      say(Priority::error,
          fmt::format("problem: {} died too often and was given up (restart.spent=shed): what "
                      "it had not handled is lost\n",
                      worker.name));
    }
  }
  return none;
}

int report_problems(const Stats& stats) {
  for (const std::string& problem : stats.problems)
    say(Priority::error, fmt::format("problem: {}\n", printable(problem)));
  if (stats.problem_count > stats.problems.size()) {
    say(Priority::error,
        fmt::format("and {} more\n", counted(stats.problem_count - stats.problems.size(), "problem")));
  }
  if (stats.dead_letters() != 0) {
    say(Priority::error,
        fmt::format(
            "problem: {} killed its worker too often, or was refused: see the dead letters in {}\n",
            stats.dead_letters() == 1 ? "an event" : fmt::format("each of {} events", stats.dead_letters()),
            stats.reports));
  }
  const bool complete = report_shed_workers(stats);
  return stats.problem_count == 0 && stats.dead_letters() == 0 && complete ? kExitOk : kExitFailed;
}

// The chaos of one run, if it was asked for. What it did is told however the run ends, so that it can be
// repeated.
class ChaosAround {
 public:
  ChaosAround(const StandardOptions& options, const std::string& restart_budget) : text_{options.chaos} {
    if (text_.empty()) return;
    chaos_.emplace(parse_chaos(text_));
    std::fprintf(stderr, "chaos: %s, with restart.budget %s\n", text_.c_str(), restart_budget.c_str());
  }
  ~ChaosAround() { end(); }
  ChaosAround(const ChaosAround&) = delete;
  ChaosAround& operator=(const ChaosAround&) = delete;

  Chaos* get() { return chaos_ ? &*chaos_ : nullptr; }
  void end() {
    if (!chaos_) return;
    std::fprintf(stderr, "chaos: %s\nchaos: again with --chaos \"%s\"\n", chaos_->summary().c_str(),
                 text_.c_str());
    chaos_.reset();
  }

 private:
  std::string text_;
  std::optional<Chaos> chaos_;
};

void remark_on_injected_variables(bool quiet) {
  const std::vector<std::string> names = injected_variables();
  if (names.empty() || quiet) return;
  say(Priority::notice,
      fmt::format(
          "remark: {} and {} more have the form of variables that Kubernetes makes for a service; they "
          "are no settings\n",
          printable(names.front()), names.size() - 1));
}

// As Engine::wait_for(); to be parked or drained by an operator is as good as to be asked by a signal.
bool wait_for(Engine& engine, std::chrono::nanoseconds limit, bool& asked_elsewhere) {
  try {
    return engine.wait_for(limit);
  } catch (const Error&) {
    if (engine.end() != End::parked && engine.end() != End::drained) throw;
    asked_elsewhere = true;
    return true;
  }
}

std::string in_words(const LeftBehind& left) {
  return fmt::format("{} ({})", counted(left.events, "event"), format_bytes(left.bytes));
}

// What a drained pipeline has in its outlets still, behind what is said of the rest; nothing where they are empty.
std::string but_for_what_waits(const Engine& engine, const std::string& kept_in) {
  const LeftBehind left = engine.left_behind();
  if (left.events == 0) return {};
  const std::string where = kept_in.empty() ? "" : fmt::format("; the next start goes on with {}", kept_in);
  return fmt::format("; {} in its lanes {} pulled by nobody{}", in_words(left),
                     left.events == 1 ? "was" : "were", where);
}

// The first signal: what was asked for begins.
void begin_to_end(Engine& engine, bool kept) {
  const bool parks = kept && first_interrupt != SIGINT;
  std::fprintf(stderr, "%s; another signal stops at once\n", parks ? "parking" : "draining");
  if (parks) {
    engine.begin_park();
  } else {
    engine.begin_drain();
  }
}

// As a shell would say it of a program that the signal has ended. An operator's drain is taken for SIGINT, and so is one that
// a former life was asked for. What the program itself has asked for is its own affair.
int status_of_end(const Engine& engine, bool asked_elsewhere, int status) {
  constexpr int kSignalled = 128;
  if (engine.end() == End::stopped) return kExitFailed;
  if (!engine.interrupted() || (first_interrupt == 0 && !asked_elsewhere)) return status;
  return kSignalled + (first_interrupt != 0 ? static_cast<int>(first_interrupt) : SIGINT);
}

// What an end that is not the pipeline's own has left, for people. A last checkpoint may be older than that end.
void tell_what_is_left(const Engine& engine, const std::string& kept_in, bool by_checkpoint) {
  if (engine.end() == End::parked && kept_in.empty()) {
    // With checkpoint.idle=no there is no checkpoint of a pipeline that has handled nothing.
    std::fprintf(stderr, "parked: nothing was handled that is to be kept, and the next start begins anew\n");
  } else if (engine.end() == End::parked) {
    std::fprintf(stderr, "parked: the next start goes on with %s, and with %s in its lanes\n",
                 kept_in.c_str(), in_words(engine.left_behind()).c_str());
  } else if (engine.interrupted()) {
    say(Priority::warning,
        fmt::format("drained: what was accepted is handled; what its sources had not read is left{}\n",
                    but_for_what_waits(engine, kept_in)));
  } else if (engine.end() == End::drained) {
    std::fprintf(stderr, "drained: everything is handled%s\n", but_for_what_waits(engine, kept_in).c_str());
  } else if (engine.end() == End::stopped) {
    const std::string left = in_words(engine.left_behind());
    if (kept_in.empty()) {
      say(Priority::warning, fmt::format("stopped: {} in the lanes {} given up\n", left,
                                         engine.left_behind().events == 1 ? "was" : "were"));
    } else if (by_checkpoint) {
      say(Priority::warning,
          fmt::format("stopped: the next start goes on with the last checkpoint in {}\n", kept_in));
    } else {
      say(Priority::warning,
          fmt::format("stopped: the next start goes on with {}, and with {} in its lanes\n", kept_in, left));
    }
  }
}

// The loop between start and end. Whether an end was asked for elsewhere: by an operator, or in a former life.
struct Company {
  std::chrono::nanoseconds interval;  // Of the live table.
  bool live;
  bool kept;  // When a signal comes.
  ServiceManager& manager;
  std::chrono::nanoseconds tick_every{};
};
bool accompany(Engine& engine, const Company& how, LogAboveTable* log, Chaos* chaos,
               const std::function<void()>& tick) {
  using Clock = std::chrono::steady_clock;
  LiveTable table{how.live};
  Stats before = engine.stats();
  auto drawn = Clock::now();
  bool ending = false;
  bool asked_elsewhere = engine.draining();
  constexpr std::chrono::nanoseconds kLongest = std::chrono::milliseconds{50};
  const auto pause = std::min(tick ? how.tick_every : how.interval, kLongest);
  while (
      !wait_for(engine, chaos == nullptr ? pause : std::min(pause, chaos->time_to_next()), asked_elsewhere)) {
    if (tick) tick();
    if (chaos != nullptr) chaos->tick();
    how.manager.alive();
    if (interrupts > 0 && !ending) {
      ending = true;
      how.manager.stopping();
      table.clear();
      begin_to_end(engine, how.kept);
    }
    if (interrupts > 1) {
      engine.stop();
      // It may have come to an end of its own by then: that is told, and cleared away, as any other.
      wait_for(engine, {}, asked_elsewhere);
      break;
    }
    const auto now = Clock::now();
    if (log != nullptr) log->show([&table] { table.clear(); });
    if (how.live && now - drawn >= how.interval) {
      Stats stats = engine.stats();
      table.draw(to_text(stats, before, seconds_of(now - drawn)));
      before = std::move(stats);
      drawn = now;
    }
  }
  return asked_elsewhere;
}

}  // namespace

Settings settings_from(const StandardOptions& options) {
  Settings settings = Settings::from_environment();
  if (!options.profile.empty()) settings.set("profile", options.profile, Origin::command_line);
  for (const std::string& assignment : options.assignments)
    settings.set_assignment(assignment);
  if (!options.chaos.empty()) settings.set("watchdog.drill", "yes");
  if (!options.chaos.empty() && settings.origin_of("restart.budget").layer <= Origin::profile)
    settings.set("restart.budget", fmt::format("{}", restart_budget_for(parse_chaos(options.chaos))));
  return settings;
}

int run(Engine& engine, const StandardOptions& options, const Settings& settings,
        const std::function<void()>& tick, const std::function<void(const Error&)>& on_error,
        std::chrono::nanoseconds tick_every) {
  std::optional<LogAboveTable> log;
  try {
    // No setting is looked up once the pipeline runs.
    const std::chrono::nanoseconds interval = settings.duration("stats.interval");
    const std::string restart_budget = settings.value("restart.budget");
    const auto start = std::chrono::steady_clock::now();
    remark_on_injected_variables(options.quiet);
    const bool live = !options.quiet && can_draw_table();
    if (live) engine.log_to(log.emplace().descriptor());
    const Interrupts counted;  // Before the first event can be handled: none is lost by a signal then.
    engine.start();
    if (engine.resumed() && !options.quiet) {
      std::fprintf(stderr, "resumed from %s%s\n", printable(engine.resumed_from()).c_str(),
                   engine.draining() ? ": a drain was asked for, and goes on" : "");
    }
    if (options.placement) std::fputs(engine.placement().c_str(), stdout);
    std::fflush(stdout);
    ChaosAround chaos{options, restart_budget};
    ServiceManager manager;
    // A signal may have come before that: the constructor of a handler does not hold it up.
    if (interrupts == 0) manager.ready(engine.stats().pipeline + ": all stages are at work");
    const bool asked_elsewhere =
        accompany(engine, {interval, live, !engine.kept_in().empty(), manager, tick_every},
                  log ? &*log : nullptr, chaos.get(), tick);
    manager.stopping();
    if (log) log->show([] {});
    chaos.end();
    const Stats stats = engine.stats();
    if (!options.quiet) {
      const double seconds = seconds_of(std::chrono::steady_clock::now() - start);
      std::fputs(to_text(stats, {}, seconds).c_str(), stdout);
      std::fflush(stdout);
    }
    const int status = report_problems(stats);
    const bool elsewhere = !engine.kept_in().empty() && !options.kept_in.empty();
    tell_what_is_left(engine, elsewhere ? options.kept_in : engine.kept_in(),
                      settings.value("segment.path").empty());
    return status_of_end(engine, asked_elsewhere, status);
  } catch (const Error& error) {
    if (log) log->show([] {});
    // The last line is why it ended.
    report_problems(engine.stats());
    say(Priority::error, fmt::format("error: {}\n", printable_message(error.what())));
    if (on_error) on_error(error);
    return kExitFailed;
  }
}

int interrupted_by() {
  return first_interrupt;
}

}  // namespace sluice
