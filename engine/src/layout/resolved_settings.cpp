// SPDX-License-Identifier: Apache-2.0
#include "layout/resolved_settings.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>

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

// As for the settings of that kind: no sum of such sizes wraps.
constexpr std::uint64_t kMostAsked = std::uint64_t{1} << 40;

// Of a stage that says that its input is hostile, and of which the user says nothing.
constexpr std::uint64_t kHostileCrashBudget = 20;

// What the program asks for holds unless the user has set the setting.
std::uint64_t bytes_for(const Settings& settings, const std::string& key, const std::string& stage,
                        std::uint64_t asked) {
  const Origin origin = settings.origin_of(key, stage).layer;
  const bool set = origin > Origin::profile || origin == Origin::program;
  if (asked == 0 || set) return settings.bytes(key, stage);
  if (asked > kMostAsked) {
    throw Error{{"lay out the stage", stage, fmt::format("the program asks for {} bytes of {}", asked, key),
                 "ask for 1TiB at most"}};
  }
  return asked;
}

// More than one is for handlers that can run in several threads.
unsigned threads_for(const Settings& settings, const Node& node) {
  const auto set = settings.count_or_auto("threads", node.name);
  const std::uint64_t threads = set.value_or(node.options.threads);
  if (threads == 1 || (threads != 0 && node.wide)) return static_cast<unsigned>(threads);
  if (threads == 0)
    throw Error{{"lay out the stage", node.name, "the program asks for 0 threads", "ask for 1 at least"}};
  throw Error{{"lay out the stage", node.name,
               fmt::format("it is to have {} threads, and its handler runs in one", threads),
               "name a handler without state as Wide<Handler>, or ask for more workers"}};
}

IdleStates idle_states(const std::string& choice) {
  if (choice == "leave") return IdleStates::leave;
  return choice == "hold" ? IdleStates::hold_shallow : IdleStates::try_shallow;
}

ObserverSettings observer_settings(const std::string& text) {
  using Socket = ObserverSettings::Socket;
  if (text == "off") return {Socket::off, {}};
  if (text == "auto") return {Socket::by_itself, {}};
  return {Socket::at_path, text};
}

// Below this the small pages of a piece do not fill the TLB of a core, which has 1536 entries and more.
constexpr std::size_t kHugeIsWorthIt = std::size_t{16} << 20U;

MemorySettings memory_settings(const Settings& settings) {
  using ipc::kHugePageBytes;
  const std::string choice = settings.choice("memory.huge");
  MemorySettings memory;
  memory.lock = settings.flag("memory.lock");
  if (choice == "auto") {
    memory.pool.from = {kHugeIsWorthIt, kHugePageBytes[ipc::kOneGib]};
    memory.collapse_from = kHugeIsWorthIt;
  } else if (choice == "2M") {
    memory.pool = {{kHugePageBytes[ipc::kTwoMib], 0}, {true, false}};
  } else if (choice == "1G") {
    memory.pool = {kHugePageBytes, {false, true}};
    memory.collapse_from = kHugePageBytes[ipc::kTwoMib];
  }
  return memory;
}

// Absolute, because a handler may change the directory of its process.
CheckpointSettings checkpoint_settings(const Settings& settings) {
  const std::string path = settings.text("checkpoint.path");
  return {path.empty() ? path : absolute_path(path).string(), settings.duration("checkpoint.every"),
          static_cast<unsigned>(settings.count("checkpoint.keep")), settings.flag("checkpoint.sync"),
          settings.flag("checkpoint.idle")};
}

LogLevel log_level(const std::string& choice) {
  if (choice == "off") return LogLevel::off;
  if (choice == "error") return LogLevel::error;
  return choice == "info" ? LogLevel::info : LogLevel::warning;
}

StageSettings stage_settings(const Settings& settings, const Node& node) {
  const bool has_workers = node.kind == NodeKind::source || node.kind == NodeKind::stage;
  const std::string stage = has_workers ? node.name : std::string{};
  StageSettings resolved;
  if (has_workers) {
    resolved.workers = settings.count_or_auto("workers", stage).value_or(node.options.workers);
    resolved.takes_cores = resolved.workers == cores;
    resolved.threads = threads_for(settings, node);
    resolved.place = settings.text("place", stage);
  }
  resolved.state_bytes = bytes_for(settings, "state.bytes", stage, node.options.state_bytes);
  resolved.undo_bytes = bytes_for(settings, "undo.bytes", stage, node.options.undo_bytes);
  // Lanes lead into stages and outlets alone, and an outlet has no settings of its own.
  resolved.lane_slots = settings.count("lane.slots", stage);
  resolved.lane_bytes = bytes_for(settings, "lane.bytes", stage, node.options.lane_bytes);
  resolved.full = full_policy(settings.choice("lane.full", stage));
  resolved.batch_events = settings.count("batch.events", stage);
  resolved.table_rows = settings.count_or_auto("table.rows", stage);
  resolved.wait = wait_settings(settings, stage);
  resolved.latency_sample = settings.count_or_auto("latency.sample", stage).value_or(0);
  resolved.poison_attempts = settings.count("poison.attempts", stage);
  resolved.deadline = settings.duration("watchdog.deadline", stage);
  resolved.oversize =
      settings.choice("oversize", stage) == "stop" ? OversizePolicy::stop : OversizePolicy::dead_letter;
  resolved.linger = settings.duration("batch.linger", stage);
  resolved.outside_patience = settings.duration("outside.patience", stage);
  resolved.crash_budget = settings.count_or_auto("crash.budget", stage);
  if (!resolved.crash_budget && node.options.hostile_input) resolved.crash_budget = kHostileCrashBudget;
  return resolved;
}

RestartSettings restart_settings(const Settings& settings) {
  return {settings.count("restart.budget"),
          settings.duration("restart.window"),
          settings.duration("restart.backoff"),
          settings.duration("restart.backoff_max"),
          settings.duration("restart.stable"),
          settings.choice("restart.spent") == "stop" ? SpentBudgetPolicy::stop : SpentBudgetPolicy::shed,
          settings.count("poison.budget"),
          settings.duration("crash.window")};
}

void check_stages(const Settings& settings, const Graph& graph) {
  std::vector<std::string> stages;
  for (const Node& node : graph.nodes) {
    if (node.kind == NodeKind::source || node.kind == NodeKind::stage) stages.push_back(node.name);
  }
  settings.check_stages(stages);
}

PlacementSettings placement_settings(const Settings& settings) {
  return {pinning::parse_policy(settings.choice("placement.policy")),
          pinning::CpuSet::parse(settings.text("placement.reserve")), settings.flag("placement.isolated"),
          settings.choice("placement.smt") == "never" ? pinning::Smt::never : pinning::Smt::last,
          settings.text("placement.measured")};
}

// What a stage says of itself holds. What is said of all holds for those that lead nowhere, and for outlets, where events
// leave the pipeline; and for sources and inlets, where they are acknowledged.
bool is_after_checkpoint(const Settings& settings, const Graph& graph, NodeIndex number,
                         const std::vector<SettingValue>& values) {
  const Node& node = graph.nodes[number];
  if (node.kind == NodeKind::outlet || node.kind == NodeKind::inlet)
    return settings.choice("outside.after") == "checkpoint";
  if (node.kind == NodeKind::source) return settings.choice("outside.after", node.name) == "checkpoint";
  const std::string own = "stage." + node.name + ".outside.after";
  const bool says = std::any_of(values.begin(), values.end(),
                                [&own](const SettingValue& value) { return value.key == own; });
  const bool leads_on = std::any_of(graph.edges.begin(), graph.edges.end(),
                                    [number](const Edge& edge) { return edge.from == number; });
  return (says || !leads_on) && settings.choice("outside.after", node.name) == "checkpoint";
}

}  // namespace

PipelineSettings resolve(const Settings& settings, const Graph& graph) {
  check_stages(settings, graph);
  PipelineSettings resolved;
  for (const Node& node : graph.nodes)
    resolved.nodes.push_back(stage_settings(settings, node));
  const std::vector<SettingValue> values = settings.values();
  for (const NodeIndex node : graph.nodes.indices())
    resolved.nodes[node].after_checkpoint = is_after_checkpoint(settings, graph, node, values);
  resolved.host_wait = wait_settings(settings, {});
  resolved.restart = restart_settings(settings);
  resolved.placement = placement_settings(settings);
  resolved.idle_states = idle_states(settings.choice("power.latency"));
  resolved.observers = observer_settings(settings.text("observe.socket"));
  resolved.log = {log_level(settings.choice("log.level")),
                  settings.choice("log.format") == "json" ? LogFormat::json : LogFormat::text,
                  settings.choice("log.format") == "auto"};
  resolved.memory = memory_settings(settings);
  resolved.checkpoints = checkpoint_settings(settings);
  resolved.claims = settings.flag("placement.claims");
  resolved.verify = settings.duration("placement.verify");
  resolved.watchdog_tick = settings.duration("watchdog.tick");
  resolved.host_death =
      settings.choice("host.death") == "stop" ? HostDeathPolicy::stop : HostDeathPolicy::drain;
  resolved.master_priority =
      settings.choice("master.priority") == "raised" ? MasterPriority::raised : MasterPriority::normal;
  resolved.dumped_segment =
      settings.choice("core.segment") == "control" ? DumpedSegment::control : DumpedSegment::all;
  resolved.drill = settings.flag("watchdog.drill");
  resolved.oom_score = static_cast<int>(settings.count("oom.score"));
  resolved.retry_path = settings.text("poison.retry");
  resolved.fingerprint = settings.fingerprint();
  return resolved;
}

}  // namespace sluice::detail
