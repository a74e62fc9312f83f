// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics_text.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include <sluice/bottleneck.hpp>

namespace sluice::command {
namespace {

// As the value of a label: backslash, quote and line end. Source: "Text-based format" of the Prometheus documentation.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char character : text) {
    if (character == '\n') {
      result.append("\\n");
      continue;
    }
    if (character == '"' || character == '\\') result.append(1, '\\');
    result.append(1, character);
  }
  return result;
}

// Where flows lead to that are no stages.
std::set<std::string> outlets_of(const Stats& stats) {
  std::set<std::string> outlets;
  for (const FlowStats& flow : stats.flows)
    outlets.insert(flow.to);
  for (const StageStats& stage : stats.stages)
    outlets.erase(stage.name);
  return outlets;
}

class Families {
 public:
  Families(const std::vector<Exposed>& pipelines, const std::set<std::string>& down)
      : pipelines_{pipelines}, down_{down} {
    for (const Exposed& each : pipelines) {
      labels_.emplace_back();
      for (const StageStats& stage : each.stats.stages) {
        for (const WorkerStats& worker : stage.workers) {
          labels_.back().push_back(fmt::format("pipeline=\"{}\",stage=\"{}\",worker=\"{}\"",
                                               escaped(each.name), escaped(stage.name),
                                               escaped(worker.name)));
        }
      }
    }
  }

  template <class Value>
  void of_pipeline(std::string_view name, std::string_view type, std::string_view help, Value&& value) {
    head(name, type, help);
    for (const Exposed& each : pipelines_)
      fmt::format_to(to(), "{}{{pipeline=\"{}\"}} {}\n", name, escaped(each.name), value(each));
  }
  // 1 or 0; also of those that are down.
  template <class Is>
  void state_of_pipeline(std::string_view name, std::string_view help, Is&& is) {
    of_pipeline(name, "gauge", help, [&is](const Exposed& each) { return is(each) ? 1 : 0; });
    for (const std::string& pipeline : down_)
      fmt::format_to(to(), "{}{{pipeline=\"{}\"}} 0\n", name, escaped(pipeline));
  }
  template <class Value>
  void of_worker(std::string_view name, std::string_view type, std::string_view help, Value&& value) {
    head(name, type, help);
    each_worker([&](const std::string& labels, const WorkerStats& worker, std::size_t) {
      fmt::format_to(to(), "{}{{{}}} {}\n", name, labels, value(worker));
    });
  }
  void info() {
    head("sluice_pipeline_info", "gauge", "1; the label has the version of Sluice that runs the pipeline.");
    for (const Exposed& each : pipelines_) {
      fmt::format_to(to(), "sluice_pipeline_info{{pipeline=\"{}\",version=\"{}\"}} 1\n", escaped(each.name),
                     escaped(each.stats.version));
    }
  }
  void facts() {
    head("sluice_pipeline_facts", "gauge", "1; the labels have what the program tells of the pipeline.");
    for (const Exposed& each : pipelines_) {
      if (each.stats.facts.empty()) continue;
      std::string labels;
      for (const Fact& fact : each.stats.facts)
        labels += fmt::format(",{}=\"{}\"", fact.name, escaped(fact.value));
      fmt::format_to(to(), "sluice_pipeline_facts{{pipeline=\"{}\"{}}} 1\n", escaped(each.name), labels);
    }
  }
  // Of sources that tell it.
  void lag(std::string_view name, std::string_view help, std::uint64_t LagStats::*which) {
    head(name, "gauge", help);
    each_worker([&](const std::string& labels, const WorkerStats& worker, std::size_t) {
      if (worker.lag) fmt::format_to(to(), "{}{{{}}} {}\n", name, labels, (*worker.lag).*which);
    });
  }
  void seconds() {
    constexpr std::string_view kName = "sluice_worker_seconds_total";
    head(kName, "counter", "How the time of the worker was spent, as the watchdog saw it.");
    each_worker([&](const std::string& labels, const WorkerStats& worker, std::size_t) {
      const TimeStats& time = worker.time;
      const auto line = [&](std::string_view state, std::chrono::nanoseconds spent) {
        fmt::format_to(to(), "{}{{{},state=\"{}\"}} {:.3f}\n", kName, labels, state,
                       std::chrono::duration<double>(spent).count());
      };
      line("busy", time.busy);
      line("waiting", time.waiting);
      line("full", time.full);
      line("outside", time.outside);
    });
    head("sluice_worker_watched_seconds_total", "counter",
         "All the time in which the watchdog has looked at the worker.");
    each_worker([&](const std::string& labels, const WorkerStats& worker, std::size_t) {
      fmt::format_to(to(), "sluice_worker_watched_seconds_total{{{}}} {:.3f}\n", labels,
                     std::chrono::duration<double>(worker.time.watched).count());
    });
  }
  void memory() {
    constexpr std::string_view kName = "sluice_worker_anonymous_memory_bytes";
    head(kName, "gauge", "Anonymous memory of the worker's process; the segment is not in it.");
    std::size_t pipeline = 0;
    for (const Exposed& each : pipelines_) {
      for (std::size_t worker = 0; worker < labels_[pipeline].size(); ++worker) {
        const auto bytes = worker < each.memory.size() ? each.memory[worker] : std::nullopt;
        fmt::format_to(to(), "{}{{{}}} {}\n", kName, labels_[pipeline][worker], bytes.value_or(0));
      }
      ++pipeline;
    }
  }
  void bottleneck() {
    std::vector<std::optional<Bottleneck>> found;
    found.reserve(pipelines_.size());
    for (const Exposed& each : pipelines_)
      found.push_back(bottleneck_of(each.before, each.stats));
    const auto line = [&](std::size_t pipeline, std::string_view kind, const std::string& name, bool is) {
      fmt::format_to(to(), "sluice_{}_is_bottleneck{{pipeline=\"{}\",{}=\"{}\"}} {}\n", kind,
                     escaped(pipelines_[pipeline].name), kind, escaped(name), is ? 1 : 0);
    };
    const auto outlet = [](const Bottleneck& of) { return of.reason == BottleneckReason::not_taken; };
    head("sluice_stage_is_bottleneck", "gauge", "1 while the stage blocks the rest of the pipeline.");
    for (std::size_t p = 0; p < pipelines_.size(); ++p) {
      for (const StageStats& stage : pipelines_[p].stats.stages)
        line(p, "stage", stage.name, found[p] && !outlet(*found[p]) && found[p]->name == stage.name);
    }
    head("sluice_outlet_is_bottleneck", "gauge", "1 while the host does not take what is in the outlet.");
    for (std::size_t p = 0; p < pipelines_.size(); ++p) {
      for (const std::string& name : outlets_of(pipelines_[p].stats))
        line(p, "outlet", name, found[p] && outlet(*found[p]) && found[p]->name == name);
    }
  }
  // Where nothing is timed the series are there and stay 0.
  void latencies(std::string_view name, std::string_view help, LatencyStats StageStats::*which) {
    head(name, "histogram", help);
    for (const Exposed& each : pipelines_) {
      for (const StageStats& stage : each.stats.stages) {
        const LatencyStats& latency = stage.*which;
        const std::string labels =
            fmt::format("pipeline=\"{}\",stage=\"{}\"", escaped(each.name), escaped(stage.name));
        for (std::size_t i = 0; i < LatencyStats::kBounds; ++i) {
          fmt::format_to(to(), "{}_bucket{{{},le=\"{:.9g}\"}} {}\n", name, labels,
                         std::chrono::duration<double>(LatencyStats::bound(i)).count(), latency.below[i]);
        }
        fmt::format_to(to(), "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, latency.count);
        fmt::format_to(to(), "{}_sum{{{}}} {:.9f}\n", name, labels,
                       std::chrono::duration<double>(latency.sum).count());
        fmt::format_to(to(), "{}_count{{{}}} {}\n", name, labels, latency.count);
      }
    }
  }
  std::string text() const { return fmt::to_string(text_); }

 private:
  fmt::appender to() { return fmt::appender{text_}; }
  void head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(to(), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <class Do>
  void each_worker(Do&& act) {
    for (std::size_t pipeline = 0; pipeline < pipelines_.size(); ++pipeline) {
      std::size_t index = 0;
      for (const StageStats& stage : pipelines_[pipeline].stats.stages) {
        for (const WorkerStats& worker : stage.workers) {
          act(labels_[pipeline][index], worker, index);
          ++index;
        }
      }
    }
  }

  const std::vector<Exposed>& pipelines_;
  const std::set<std::string>& down_;
  std::vector<std::vector<std::string>> labels_;  // Of each pipeline's workers.
  fmt::memory_buffer text_;
};

void add_pipelines(Families& families) {
  const auto of = [](auto member) { return [member](const Exposed& each) { return each.stats.*member; }; };
  families.info();
  families.facts();
  families.of_pipeline("sluice_pipeline_start_time_seconds", "gauge",
                       "When this life of the pipeline began, since 1970.",
                       [](const Exposed& each) { return fmt::format("{:.3f}", each.start_time); });
  families.state_of_pipeline("sluice_pipeline_running",
                             "1 while the pipeline runs; 0 of one that was named, or seen, and is down.",
                             [](const Exposed& each) { return each.stats.state == "running"; });
  families.state_of_pipeline(
      "sluice_pipeline_ready", "1 while every stage has a worker at work, and nobody has stopped the master.",
      [](const Exposed& each) { return is_ready(each.stats) && !each.master_stopped; });
  families.of_pipeline("sluice_master_stopped", "gauge",
                       "1 while somebody has stopped the master: nothing that dies is replaced.",
                       [](const Exposed& each) { return each.master_stopped ? 1 : 0; });
  families.of_pipeline("sluice_masters_total", "counter",
                       "Masters that there have been: one, and one for each that died.", of(&Stats::masters));
  families.of_pipeline("sluice_host_events_dropped_total", "counter",
                       "Events of the host that a full lane's policy gave up.", of(&Stats::host_dropped));
  families.of_pipeline("sluice_host_events_shed_total", "counter",
                       "Events of the host given up since the worker that they were for is shed.",
                       of(&Stats::host_shed));
  families.of_pipeline("sluice_observers_refused_total", "counter",
                       "Observers of other users that were refused.", of(&Stats::observers_refused));
  families.of_pipeline("sluice_reports_lost_total", "counter", "Reports that could not be written.",
                       of(&Stats::reports_lost));
  families.of_pipeline("sluice_problems_total", "counter", "Problems that handlers have reported.",
                       of(&Stats::problem_count));
}

void add_checkpoints(Families& families) {
  families.of_pipeline("sluice_checkpoints_total", "counter", "Checkpoints that were written.",
                       [](const Exposed& each) { return each.stats.checkpoints.written; });
  families.of_pipeline("sluice_checkpoint_failures_total", "counter",
                       "Checkpoints that were put off or could not be written.",
                       [](const Exposed& each) { return each.stats.checkpoints.failures; });
  families.of_pipeline(
      "sluice_checkpoint_timestamp_seconds", "gauge",
      "Of what instant the last checkpoint is; 0: there is none.", [](const Exposed& each) {
        const auto at = each.stats.checkpoints.at;
        return at ? fmt::format("{:.3f}", std::chrono::duration<double>{at->time_since_epoch()}.count())
                  : std::string{"0"};
      });
  families.of_pipeline("sluice_checkpoint_bytes", "gauge", "Of the file of the last checkpoint.",
                       [](const Exposed& each) { return each.stats.checkpoints.bytes; });
  families.of_pipeline("sluice_checkpoint_pause_seconds", "gauge",
                       "How long all workers stood still for the last checkpoint.", [](const Exposed& each) {
                         return fmt::format(
                             "{:.6f}", std::chrono::duration<double>{each.stats.checkpoints.pause}.count());
                       });
}

void add_counters(Families& families) {
  const auto of = [](auto member) { return [member](const WorkerStats& worker) { return worker.*member; }; };
  const auto counter = [&](std::string_view name, std::string_view help, auto member) {
    families.of_worker(name, "counter", help, of(member));
  };
  counter("sluice_worker_events_in_total", "Events taken, committed; of a source, its calls.",
          &WorkerStats::events_in);
  counter("sluice_worker_events_out_total", "Events published, committed.", &WorkerStats::events_out);
  counter("sluice_worker_batches_total", "Commits.", &WorkerStats::batches);
  counter("sluice_worker_events_dropped_total", "Events that a full lane's policy gave up.",
          &WorkerStats::dropped);
  counter("sluice_worker_events_shed_total", "Events given up since the worker that they were for is shed.",
          &WorkerStats::shed);
  counter("sluice_worker_dead_letters_total", "Events that killed the worker too often, or were refused.",
          &WorkerStats::dead_letters);
  counter("sluice_worker_restarts_total", "Replacements of the worker.", &WorkerStats::restarts);
  counter("sluice_worker_starved_total", "Times it was kept from a processor for long.",
          &WorkerStats::starved);
  counter("sluice_worker_displaced_total", "Times it was found away from its place.",
          &WorkerStats::displaced);
  counter("sluice_worker_full_waits_total", "Times it waited for room in a lane.", &WorkerStats::full_waits);
}

}  // namespace

bool is_at_work(const WorkerStats& worker) {
  if (worker.finished) return true;
  return worker.pid != 0 && !worker.lives.empty() && worker.lives.back().ready.count() != 0;
}

bool is_ready(const Stats& stats) {
  return stats.state == "running" &&
         std::all_of(stats.stages.begin(), stats.stages.end(), [](const StageStats& stage) {
           return std::any_of(stage.workers.begin(), stage.workers.end(), is_at_work);
         });
}

std::string metrics_text(const std::vector<Exposed>& pipelines, const std::set<std::string>& down) {
  Families families{pipelines, down};
  add_pipelines(families);
  add_checkpoints(families);
  add_counters(families);
  families.seconds();
  families.of_worker("sluice_worker_up", "gauge", "1 while the worker is at work, or has finished.",
                     [](const WorkerStats& worker) { return is_at_work(worker) ? 1 : 0; });
  families.of_worker("sluice_worker_waits_outside", "gauge", "1 while the worker waits for the outside.",
                     [](const WorkerStats& worker) { return worker.outside.empty() ? 0 : 1; });
  families.of_worker("sluice_worker_lane_occupancy_ratio", "gauge",
                     "How full the fullest lane is that the worker takes from.",
                     [](const WorkerStats& worker) { return fmt::format("{:.4f}", worker.occupancy); });
  families.of_worker("sluice_worker_region_bytes", "gauge",
                     "Its part of the segment: state, undo log, the lanes that it fills.",
                     [](const WorkerStats& worker) { return worker.region_bytes; });
  families.lag("sluice_worker_lag_events", "Events that wait for the source behind the last one it has read.",
               &LagStats::events);
  families.lag("sluice_worker_lag_bytes", "About how many bytes they have.", &LagStats::bytes);
  families.bottleneck();
  families.latencies("sluice_stage_lane_seconds", "How long timed events waited in a lane before the stage.",
                     &StageStats::lane);
  families.latencies("sluice_stage_handler_seconds",
                     "How long timed events were in the stage's handler, without waits for room behind it.",
                     &StageStats::handler);
  families.latencies(
      "sluice_stage_end_to_end_seconds",
      "How old timed events were at the stage's commit: since a source or the host published what they come "
      "from.",
      &StageStats::end_to_end);
  families.memory();
  return families.text();
}

}  // namespace sluice::command
