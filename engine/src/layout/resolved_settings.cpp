// SPDX-License-Identifier: Apache-2.0
#include "layout/resolved_settings.hpp"

namespace sluice::detail {
namespace {

FullPolicy full_policy(const std::string& choice) {
  if (choice == "drop_newest") return FullPolicy::drop_newest;
  return choice == "fail" ? FullPolicy::fail : FullPolicy::block;
}

WaitStrategy wait_strategy(const std::string& choice) {
  if (choice == "spin") return WaitStrategy::spin;
  return choice == "yield" ? WaitStrategy::yield : WaitStrategy::sleep;
}

WaitSettings wait_settings(const Settings& settings, const std::string& stage) {
  return {wait_strategy(settings.choice("wait.strategy", stage)), settings.duration("wait.spin", stage),
          settings.duration("wait.yield", stage), settings.choice("wait.preempt", stage) == "yes"};
}

StageSettings stage_settings(const Settings& settings, const Node& node) {
  const bool has_workers = node.kind == NodeKind::source || node.kind == NodeKind::stage;
  const std::string stage = has_workers ? node.name : std::string{};
  StageSettings resolved;
  // Lanes lead into stages and outlets alone, and an outlet has no settings of its own.
  resolved.full = full_policy(settings.choice("lane.full", stage));
  resolved.batch_events = settings.count("batch.events", stage);
  resolved.table_rows = settings.count_or_auto("table.rows", stage);
  resolved.wait = wait_settings(settings, stage);
  resolved.poison_attempts = settings.count("poison.attempts", stage);
  resolved.deadline = settings.duration("watchdog.deadline", stage);
  return resolved;
}

RestartSettings restart_settings(const Settings& settings) {
  return {settings.count("restart.budget"),
          settings.duration("restart.window"),
          settings.duration("restart.backoff"),
          settings.duration("restart.backoff_max"),
          settings.duration("restart.stable"),
          settings.choice("restart.spent") == "stop" ? SpentBudgetPolicy::stop : SpentBudgetPolicy::shed,
          settings.count("poison.budget")};
}

}  // namespace

PipelineSettings resolve(const Settings& settings, const Graph& graph) {
  PipelineSettings resolved;
  for (const Node& node : graph.nodes)
    resolved.nodes.push_back(stage_settings(settings, node));
  resolved.host_wait = wait_settings(settings, {});
  resolved.restart = restart_settings(settings);
  resolved.watchdog_tick = settings.duration("watchdog.tick");
  resolved.host_death =
      settings.choice("host.death") == "stop" ? HostDeathPolicy::stop : HostDeathPolicy::drain;
  resolved.retry_path = settings.text("poison.retry");
  resolved.fingerprint = settings.fingerprint();
  return resolved;
}

}  // namespace sluice::detail
