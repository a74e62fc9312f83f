// SPDX-License-Identifier: Apache-2.0
#include "sluice/main.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/chaos.hpp>
#include <sluice/cli.hpp>
#include <sluice/detail/injected_variables.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice {

using namespace detail;

namespace {

volatile std::sig_atomic_t interrupts = 0;
volatile std::sig_atomic_t first_interrupt = 0;

void count_interrupt(int signal) {
  if (interrupts == 0) first_interrupt = signal;
  interrupts = interrupts + 1;
}

// Counts interrupts from here on, and gives the host's handlers back at the end: Ctrl-C must not be deaf
// then.
class Interrupts {
 public:
  Interrupts() {
    interrupts = 0;
    first_interrupt = 0;
    interrupt_ = std::signal(SIGINT, count_interrupt);
    terminate_ = std::signal(SIGTERM, count_interrupt);
  }
  ~Interrupts() {
    std::signal(SIGINT, interrupt_);
    std::signal(SIGTERM, terminate_);
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

 private:
  void (*interrupt_)(int);
  void (*terminate_)(int);
};

// A program that only runs its pipeline neither pushes nor pulls: the pipeline would never end.
void refuse_ends_of_the_host(const Pipeline& pipeline) {
  for (const Node& node : pipeline.graph().nodes) {
    if (node.kind != NodeKind::inlet && node.kind != NodeKind::outlet) continue;
    throw Error{
        {"run the pipeline " + pipeline.name() + " as a program", "",
         fmt::format("its {} '{}' is for a host that {}", node.kind == NodeKind::inlet ? "inlet" : "outlet",
                     node.name, node.kind == NodeKind::inlet ? "pushes" : "pulls"),
         "begin with a source and end with a stage, or use Engine"}};
  }
}

// Redraws a table of some lines in place.
class LiveTable {
 public:
  explicit LiveTable(bool shown) : shown_{shown} {}
  ~LiveTable() { clear(); }
  LiveTable(const LiveTable&) = delete;
  LiveTable& operator=(const LiveTable&) = delete;

  void draw(const std::string& text) {
    if (!shown_) return;
    clear();
    std::fputs(text.c_str(), stderr);
    lines_ = std::count(text.begin(), text.end(), '\n');
  }
  void clear() {
    // Up to the table's first line, and erase from there to the end of the screen. Source: ECMA-48, CPL and
    // ED.
    if (lines_ > 0) std::fprintf(stderr, "\033[%ldF\033[J", static_cast<long>(lines_));
    lines_ = 0;
  }

 private:
  bool shown_;
  std::ptrdiff_t lines_ = 0;
};

double seconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

int report_problems(const Stats& stats) {
  for (const std::string& problem : stats.problems)
    std::fprintf(stderr, "problem: %s\n", printable(problem).c_str());
  if (stats.problem_count > stats.problems.size()) {
    std::fprintf(stderr, "and %llu problems more\n",
                 static_cast<unsigned long long>(stats.problem_count - stats.problems.size()));
  }
  if (stats.dead_letters() != 0) {
    std::fprintf(stderr, "problem: %llu events killed their worker too often and are dead letters in %s\n",
                 static_cast<unsigned long long>(stats.dead_letters()), stats.reports.c_str());
  }
  return stats.problem_count == 0 && stats.dead_letters() == 0 ? kExitOk : kExitFailed;
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
  std::fprintf(
      stderr,
      "remark: %s and %zu more have the form of variables that Kubernetes makes for a service; they are "
      "no settings\n",
      printable(names.front()).c_str(), names.size() - 1);
}

// The loop between start and end; false when it was stopped before its end.
bool accompany(Engine& engine, std::chrono::nanoseconds interval, bool live, Chaos* chaos,
               const std::function<void()>& tick) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kTick = std::chrono::milliseconds{2};
  LiveTable table{live};
  Stats before = engine.stats();
  auto drawn = Clock::now();
  bool draining = false;
  const auto pause = tick ? std::chrono::nanoseconds{kTick}
                          : std::min<std::chrono::nanoseconds>(interval, std::chrono::milliseconds{50});
  while (!engine.wait_for(chaos == nullptr ? pause : std::min(pause, chaos->time_to_next()))) {
    if (tick) tick();
    if (chaos != nullptr) chaos->tick();
    if (interrupts > 0 && !draining) {
      draining = true;
      table.clear();
      std::fputs("draining; interrupt again to stop at once\n", stderr);
      engine.begin_drain();
    }
    if (interrupts > 1) {
      engine.stop();
      return false;
    }
    const auto now = Clock::now();
    if (live && now - drawn >= interval) {
      Stats stats = engine.stats();
      table.draw(to_text(stats, before, seconds_of(now - drawn)));
      before = std::move(stats);
      drawn = now;
    }
  }
  return true;
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
        const std::function<void()>& tick) {
  try {
    // No setting is looked up once the pipeline runs.
    const std::chrono::nanoseconds interval = settings.duration("stats.interval");
    const std::string segment_path = settings.text("segment.path");
    const std::string restart_budget = settings.value("restart.budget");
    const auto start = std::chrono::steady_clock::now();
    remark_on_injected_variables(options.quiet);
    engine.start();
    if (engine.resumed() && !options.quiet) std::fprintf(stderr, "resumed from %s\n", segment_path.c_str());
    if (options.placement) std::fputs(engine.placement().c_str(), stdout);
    std::fflush(stdout);
    const Interrupts counted;
    const bool live = !options.quiet && ::isatty(STDERR_FILENO) == 1;
    ChaosAround chaos{options, restart_budget};
    const bool ended = accompany(engine, interval, live, chaos.get(), tick);
    chaos.end();
    const Stats stats = engine.stats();
    if (!options.quiet) {
      const double seconds = seconds_of(std::chrono::steady_clock::now() - start);
      std::fputs(to_text(stats, {}, seconds).c_str(), stdout);
      std::fflush(stdout);
    }
    const int status = report_problems(stats);
    return ended ? status : kExitFailed;
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", printable(error.what()).c_str());
    report_problems(engine.stats());
    return kExitFailed;
  }
}

int interrupted_by() {
  return first_interrupt;
}

int main(int argc, char** argv, const Pipeline& pipeline) {
  CLI::App app{"The pipeline " + pipeline.name() + "."};
  app.footer(settings_help());
  StandardOptions options;
  add_standard_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return flushed(end_of_parse(app, error));
  }
  try {
    refuse_ends_of_the_host(pipeline);
    const Settings settings = settings_from(options);
    Engine engine{pipeline, settings};
    return flushed(run(engine, options, settings));
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", printable(error.what()).c_str());
    return kExitUsage;
  }
}

}  // namespace sluice
