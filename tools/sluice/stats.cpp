// SPDX-License-Identifier: Apache-2.0
// `sluice stats`: the numbers of a pipeline that another process runs.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/bottleneck.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/observer.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"
#include "measured_line.hpp"
#include "observer/rates.hpp"
#include "observer/stage_table.hpp"
#include "observer/stats_json.hpp"
#include "presence.hpp"
#include "worker_table.hpp"

namespace sluice::command {
namespace {

struct StatsSaid {
  std::string pipeline;
  bool json = false;
  bool workers = false;
  bool measured = false;
  std::optional<double> every;  // Seconds.
  unsigned looks = 0;           // 0: until it is over.
};

void list(const std::vector<RunningPipeline>& running, bool json) {
  if (json) throw std::runtime_error{"several pipelines run: say which, `sluice stats` lists them"};
  print(fmt::format("{:<24}  {}\n", "pipeline", "socket"));
  for (const RunningPipeline& each : running)
    print(fmt::format("{:<24}  {}\n", each.name, each.socket));
}

std::string head_of(const Stats& stats, std::chrono::nanoseconds now) {
  const std::string stopped = stopped_master_text(stats);
  return fmt::format("{}\nhost {}, supervisor {}, master {}\n{}{}", detail::life_text(stats, now), stats.host,
                     stats.supervisor, stats.master, stopped, stopped.empty() ? "" : "\n");
}

// What one look gives to be seen. `before`: the look before, empty at the first; it becomes this one.
void show_look(const StatsSaid& said, const Observer& observer, const detail::Rates& rates, Stats& before) {
  const Snapshot snapshot = observer.snapshot();
  const auto now = detail::monotonic_now();
  const Stats since = std::exchange(before, snapshot.stats);
  if (said.json) {
    print_exactly(
        detail::to_json(snapshot, since, rates, observer.settings(), now, is_master_stopped(snapshot.stats)) +
        "\n");
    return;
  }
  std::string text = head_of(snapshot.stats, now);
  text.append(said.workers ? worker_table(snapshot, rates, now)
                           : detail::stage_table(snapshot.stats, [&](std::size_t i) { return rates.of(i); }));
  text.append(latency_table(snapshot.stats, said.workers));
  if (said.workers) {
    for (const std::string& line :
         {detail::facts_text(snapshot.stats.facts), to_text(snapshot.stats.checkpoints)})
      text.append(line).append(line.empty() ? "" : "\n");
  }
  text.append(bottleneck_text(since, snapshot.stats));
  print(text.append(since.stages.empty() ? " (since the start)\n" : "\n"));
}

// The first look comes at once and has no rates; those between two that are shown are for the rates.
void watch(const StatsSaid& said, const Observer& observer, Presence processes) {
  using std::chrono::nanoseconds;
  constexpr int kLooksPerWindow = 50;
  constexpr nanoseconds kLeastPause = std::chrono::milliseconds{10};
  const auto window = std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(*said.every));
  detail::Rates rates{window};
  Stats before;
  nanoseconds due = detail::monotonic_now();
  for (unsigned look = 1;; ++look) {
    rates.look(observer.snapshot().stats, detail::monotonic_now());
    if (look > 1 && !said.json) print("\n");
    show_look(said, observer, rates, before);
    std::fflush(stdout);
    // The program that read this has gone.
    if (std::ferror(stdout) != 0) return;
    if (observer.over() || look == said.looks) return;
    due += window;
    while (detail::monotonic_now() < due && !observer.over()) {
      if (processes.gone() && !observer.over()) throw std::runtime_error{Presence::kGone};
      const nanoseconds left = due - detail::monotonic_now();
      std::this_thread::sleep_for(std::min(left, std::max(window / kLooksPerWindow, kLeastPause)));
      rates.look(observer.counts(), detail::monotonic_now());
    }
  }
}

void show(const StatsSaid& said, const std::string& pipeline) {
  const Observer observer = Observer::attach(pipeline);
  if (said.measured) return print_exactly(measured_line(observer.stats(), detail::monotonic_now()));
  if (said.every) return watch(said, observer, Presence{pipeline});
  Stats before;
  show_look(said, observer, detail::Rates{std::chrono::seconds{1}}, before);
}

void show_or_list(const StatsSaid& said) {
  if (!said.pipeline.empty()) return show(said, said.pipeline);
  const std::vector<RunningPipeline> running = Observer::running();
  // Not the user's mistake: nothing is there.
  if (running.empty()) throw std::runtime_error{"no pipeline of this user is running"};
  if (running.size() > 1) return list(running, said.json);
  show(said, running.front().socket);
}

}  // namespace

void add_stats(CLI::App& program) {
  CLI::App* stats = program.add_subcommand("stats", "The numbers of a running pipeline, or which ones run");
  const auto said = std::make_shared<StatsSaid>();
  stats->add_option("pipeline", said->pipeline, "Its name, or the path of its socket (observe.socket)")
      ->type_name("NAME|SOCKET")
      ->check(not_empty());
  stats->add_flag("--workers", said->workers, "A line for each worker, not for each stage");
  stats->add_flag("--json", said->json, "For programs: docs/reference/stats.md");
  CLI::Option* watched =
      stats
          ->add_option_function<double>(
              "--watch",
              [said](double seconds) {
                // An empty value comes past the check, as 0, and behind a '=' as the default.
                if (seconds == 0 || detail::was_given_empty("--watch"))
                  throw CLI::ValidationError{"--watch", "Value  not in range 0.1 to 86400"};
                said->every = seconds;
              },
              "Go on, every so many seconds, with rates over that time")
          ->type_name("SECONDS")
          ->check(number_between(0.1, 86400))
          ->expected(0, 1)
          ->default_str("1");
  stats
      ->add_flag("--measured", said->measured,
                 "A line for a profile: the next plan goes by what this run has done")
      ->excludes("--json", "--workers", watched);
  stats->add_option("--looks", said->looks, "Stop after so many")
      ->type_name("N")
      ->check(at_least_one())
      ->needs(watched);
  stats->footer(
      "Without a name: the pipeline that runs, or a list if there are several.\n"
      "\n"
      "Examples:\n"
      "  sluice stats market --watch 2        every two seconds, with rates\n"
      "  sluice stats market --json | jq .stages\n"
      "  sluice stats market --measured >> market.profile   for profile.file=");
  stats->callback([said] { show_or_list(*said); });
}

}  // namespace sluice::command
