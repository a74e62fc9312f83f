// SPDX-License-Identifier: Apache-2.0
#include "observer/stats_json.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/bottleneck.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/json_parts.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

template <class Number>
std::string number(Number value) {
  return fmt::format("{}", value);
}
// Six digits are more than any of these is exact to.
std::string number(double value) {
  return fmt::format("{:.6g}", value);
}
std::string seconds(std::chrono::nanoseconds time) {
  return fmt::format("{:.3f}", std::chrono::duration<double>(time).count());
}
const char* flag(bool value) {
  return value ? "true" : "false";
}
constexpr const char* kNone = "null";

std::string last_death(const WorkerStats& worker, std::chrono::nanoseconds now) {
  if (worker.last_death.empty()) return kNone;
  std::chrono::nanoseconds noticed{0};
  for (const LifeStats& life : worker.lives)
    noticed = std::max(noticed, life.predecessor_dead);
  JsonParts death;
  death.text_member("cause", worker.last_death);
  death.member("signal", worker.last_signal != 0 ? number(worker.last_signal) : kNone);
  death.member("seconds_ago", noticed.count() != 0 ? seconds(time_since(noticed.count(), now)) : kNone);
  return death.object();
}

std::string time_json(const TimeStats& time) {
  JsonParts json;
  json.member("watched", seconds(time.watched));
  json.member("busy", seconds(time.busy));
  json.member("waiting", seconds(time.waiting));
  json.member("full", seconds(time.full));
  json.member("outside", seconds(time.outside));
  return json.object();
}

std::string latency_json(const LatencyStats& latency) {
  if (latency.count == 0) return kNone;
  const auto exact = [](std::chrono::nanoseconds time) {
    return fmt::format("{:.9f}", std::chrono::duration<double>(time).count());
  };
  JsonParts json;
  json.member("count", number(latency.count));
  json.member("sum", exact(latency.sum));
  json.member("p50", exact(latency.p50));
  json.member("p90", exact(latency.p90));
  json.member("p99", exact(latency.p99));
  json.member("p999", exact(latency.p999));
  json.member("max", exact(latency.most));
  return json.object();
}

std::string lag_json(const std::optional<LagStats>& lag) {
  if (!lag) return kNone;
  JsonParts json;
  json.member("events", number(lag->events));
  json.member("bytes", number(lag->bytes));
  json.text_member("told", utc_text(lag->told));
  return json.object();
}

std::string rates_json(const std::optional<WorkerRates>& rates) {
  if (!rates) return kNone;
  JsonParts json;
  json.member("in_per_second", number(rates->in_per_second));
  json.member("out_per_second", number(rates->out_per_second));
  json.member("busy", number(rates->busy));
  json.member("waiting", number(rates->waiting));
  json.member("full", number(rates->full));
  json.member("outside", number(rates->outside));
  json.member("cpu", number(rates->cpu));
  return json.object();
}

std::string worker_json(const WorkerStats& worker, const std::optional<WorkerRates>& rates,
                        std::chrono::nanoseconds now) {
  JsonParts json;
  json.text_member("name", worker.name);
  json.member("pid", worker.pid != 0 ? number(worker.pid) : kNone);
  json.member("incarnation", number(worker.incarnation));
  json.text_member("place", worker.place);
  json.text_member("state", worker.finished ? "finished" : worker.verdict);
  json.member("events_in", number(worker.events_in));
  json.member("events_out", number(worker.events_out));
  json.member("batches", number(worker.batches));
  json.member("dropped", number(worker.dropped));
  json.member("shed", number(worker.shed));
  json.member("dead_letters", number(worker.dead_letters));
  json.member("restarts", number(worker.restarts));
  json.member("last_death", last_death(worker, now));
  json.member("starved", number(worker.starved));
  json.member("displaced", number(worker.displaced));
  json.member("outside", worker.outside.empty() ? kNone : json_text(worker.outside));
  json.member("outside_seconds", worker.outside.empty() ? kNone : seconds(worker.outside_for));
  json.member("occupancy", number(worker.occupancy));
  json.member("lag", lag_json(worker.lag));
  json.member("seconds", time_json(worker.time));
  json.member("lane_latency", latency_json(worker.lane));
  json.member("handler_latency", latency_json(worker.handler));
  json.member("end_to_end_latency", latency_json(worker.end_to_end));
  json.member("rates", rates_json(rates));
  json.member("cpu_seconds", worker.usage ? seconds(worker.usage->cpu_time) : kNone);
  json.member("own_bytes", worker.usage ? number(worker.usage->own_bytes) : kNone);
  json.member("region_bytes", number(worker.region_bytes));
  return json.object();
}

std::string stages_json(const Stats& stats, const Rates& rates, std::chrono::nanoseconds now) {
  JsonParts stages;
  for (std::size_t s = 0; s < stats.stages.size(); ++s) {
    const StageStats& stage = stats.stages[s];
    JsonParts workers;
    for (std::size_t w = 0; w < stage.workers.size(); ++w)
      workers.add(worker_json(stage.workers[w], rates.of(s, w), now));
    JsonParts json;
    json.text_member("name", stage.name);
    json.member("source", flag(stage.source));
    const auto rate = rates.of(s);
    json.member("events_per_second", rate ? number(*rate) : kNone);
    json.member("lane_latency", latency_json(stage.lane));
    json.member("handler_latency", latency_json(stage.handler));
    json.member("end_to_end_latency", latency_json(stage.end_to_end));
    json.member("workers", workers.array());
    stages.add(json.object());
  }
  return stages.array();
}

std::string lanes_json(const std::vector<LaneStats>& lanes) {
  JsonParts list;
  for (const LaneStats& lane : lanes) {
    JsonParts json;
    json.text_member("from", lane.from);
    json.text_member("to", lane.to);
    json.member("events", lane.events ? number(*lane.events) : kNone);
    json.member("bytes", number(lane.bytes));
    json.member("capacity_bytes", number(lane.capacity_bytes));
    list.add(json.object());
  }
  return list.array();
}

std::string settings_json(const std::vector<SettingValue>& settings) {
  JsonParts list;
  for (const SettingValue& setting : settings) {
    JsonParts json;
    json.text_member("key", setting.key);
    json.text_member("value", setting.value);
    json.text_member("origin", setting.origin);
    list.add(json.object());
  }
  return list.array();
}

std::string bottleneck_json(const Stats& before, const Stats& now) {
  const auto found = bottleneck_of(before, now);
  JsonParts json;
  const bool outlet = found && found->reason == BottleneckReason::not_taken;
  json.member("stage", found && !outlet ? json_text(found->name) : kNone);
  json.member("outlet", outlet ? json_text(found->name) : kNone);
  json.member("reason", found ? json_text(std::string{name_of(found->reason)}) : kNone);
  json.member("share", found ? number(found->share) : kNone);
  json.text_member("text", bottleneck_text(before, now));
  return json.object();
}

std::string checkpoints_json(const CheckpointStats& checkpoints) {
  if (!checkpoints.wanted) return kNone;
  const auto exact = [](std::chrono::nanoseconds time) {
    return fmt::format("{:.6f}", std::chrono::duration<double>(time).count());
  };
  JsonParts json;
  json.member("written", number(checkpoints.written));
  json.member("failures", number(checkpoints.failures));
  json.member("last", checkpoints.at ? json_text(utc_text(*checkpoints.at)) : kNone);
  json.member("bytes", number(checkpoints.bytes));
  json.member("pause_seconds", exact(checkpoints.pause));
  json.member("longest_pause_seconds", exact(checkpoints.longest_pause));
  json.member("failing_seconds", exact(checkpoints.failing_for));
  json.member("failure", checkpoints.failure.empty() ? kNone : json_text(checkpoints.failure));
  return json.object();
}

std::string memory_json(const MemoryStats& memory) {
  const auto text_or_none = [](const std::string& text) { return text.empty() ? kNone : json_text(text); };
  JsonParts json;
  json.member("bytes", number(memory.bytes));
  json.member("in_pool_2m_bytes", number(memory.in_pool_2m));
  json.member("in_pool_1g_bytes", number(memory.in_pool_1g));
  json.member("collapsible_bytes", number(memory.collapsible));
  json.member("collapsed_bytes", number(memory.collapsed));
  json.member("settled", flag(memory.settled));
  json.member("collapse_refused", text_or_none(memory.collapse_refused));
  json.member("remark", text_or_none(memory.remark));
  json.member("lock_asked", flag(memory.lock_asked));
  json.member("locked", flag(memory.locked));
  json.member("lock_refused", text_or_none(memory.lock_refused));
  return json.object();
}

std::string facts_json(const std::vector<Fact>& facts) {
  JsonParts json;
  for (const Fact& fact : facts)
    json.text_member(fact.name, fact.value);
  return json.object();
}

}  // namespace

std::string to_json(const Snapshot& snapshot, const Stats& before, const Rates& rates,
                    const std::vector<SettingValue>& settings, std::chrono::nanoseconds now,
                    std::optional<bool> master_stopped) {
  const Stats& stats = snapshot.stats;
  JsonParts processes;
  processes.member("host", number(stats.host));
  processes.member("supervisor", number(stats.supervisor));
  processes.member("master", number(stats.master));
  JsonParts json;
  json.member("schema", number(kStatsSchema));
  json.text_member("time", utc_text(std::chrono::system_clock::now()));
  json.text_member("pipeline", stats.pipeline);
  json.text_member("version", stats.version);
  json.text_member("state", stats.state);
  json.member("facts", facts_json(stats.facts));
  json.member("lag", lag_json(stats.lag()));
  json.member("uptime_seconds", seconds(time_since(stats.started.count(), now)));
  json.member("window_seconds", rates.covered().count() != 0 ? seconds(rates.covered()) : kNone);
  json.member("processes", processes.object());
  json.member("master_stopped", master_stopped ? flag(*master_stopped) : kNone);
  json.member("masters", number(stats.masters));
  json.member("masters_displaced", number(stats.masters_displaced));
  json.member("dead_letters", number(stats.dead_letters()));
  json.text_member("reports", stats.reports);
  json.member("reports_lost", number(stats.reports_lost));
  json.member("host_dropped", number(stats.host_dropped));
  json.member("host_shed", number(stats.host_shed));
  json.member("observers_refused", number(stats.observers_refused));
  json.member("problems", number(stats.problem_count));
  json.member("pages_looked_at", number(stats.pages_looked_at));
  json.member("pages_elsewhere", number(stats.pages_elsewhere));
  json.member("memory", memory_json(stats.memory));
  json.member("checkpoints", checkpoints_json(stats.checkpoints));
  json.member("bottleneck", bottleneck_json(before, stats));
  json.member("stages", stages_json(stats, rates, now));
  json.member("lanes", lanes_json(snapshot.lanes));
  json.member("settings", settings_json(settings));
  return json.object();
}

}  // namespace sluice::detail
