// SPDX-License-Identifier: Apache-2.0
// `sluice stats`: the numbers of a pipeline that another process runs.

#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <sluice/observer.hpp>

#include "commands.hpp"

namespace sluice::command {
namespace {

void list(const std::vector<RunningPipeline>& running) {
  print(fmt::format("{:<24}  {}\n", "pipeline", "socket"));
  for (const RunningPipeline& each : running)
    print(fmt::format("{:<24}  {}\n", each.name, each.socket));
}

void show(const std::string& pipeline) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kForRates{500};
  const Observer observer = Observer::attach(pipeline);
  const Stats before = observer.stats();
  const auto start = Clock::now();
  std::this_thread::sleep_for(kForRates);
  const Stats now = observer.stats();
  print(to_text(now, before, std::chrono::duration<double>(Clock::now() - start).count()));
}

void show_or_list(const std::string& pipeline) {
  if (!pipeline.empty()) return show(pipeline);
  const std::vector<RunningPipeline> running = Observer::running();
  // Not the user's mistake: nothing is there.
  if (running.empty()) throw std::runtime_error{"no pipeline of this user is running"};
  if (running.size() > 1) return list(running);
  show(running.front().socket);
}

}  // namespace

void add_stats(CLI::App& program) {
  CLI::App* stats = program.add_subcommand("stats", "The numbers of a running pipeline, or which ones run");
  const auto pipeline = std::make_shared<std::string>();
  stats->add_option("pipeline", *pipeline, "Its name, or the path of its socket (observe.socket)")
      ->type_name("NAME|SOCKET");
  stats->footer("Without a name: the pipeline that runs, or a list if there are several.");
  stats->callback([pipeline] { show_or_list(*pipeline); });
}

}  // namespace sluice::command
