// SPDX-License-Identifier: Apache-2.0
// `sluice ps`: the pipelines that run, and the processes of each.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/json_parts.hpp>
#include <sluice/error.hpp>
#include <sluice/observer.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"
#include "observer/process_usage.hpp"
#include "process_tree.hpp"

namespace sluice::command {
namespace {

using detail::JsonParts;
using detail::ProcessKind;

struct Row {
  std::string name;  // "parse/0", "master".
  std::string kind;
  int pid = 0;  // 0: there is none.
  std::string state;
  std::string place;
  std::optional<UsageStats> usage;
};

struct Listed {
  RunningPipeline pipeline;
  std::string error;  // Why it could not be looked at; empty.
  Stats stats;
  std::vector<Row> rows;
};

// Source: proc(5).
std::string words_for(char state) {
  switch (state) {
    case 'T':
    case 't':
      return "stopped";
    case 'D':
      return "in the kernel";
    case 'Z':
    case 'X':
      return "dead";
    default:
      return "running";
  }
}

Row row_of(const detail::FoundProcess& process) {
  return {std::string{name_of(process.kind)},
          std::string{name_of(process.kind)},
          process.pid,
          words_for(process.state),
          "",
          detail::usage_of(process.pid, process.pidfd)};
}

Row row_of(const WorkerStats& worker) {
  return {worker.name,  "worker",    worker.pid, worker.finished ? "finished" : worker.verdict,
          worker.place, worker.usage};
}

// What is not in the pipeline's register stands below its supervisor.
void add_helpers(const Stats& stats, std::vector<Row>& rows) {
  detail::visit_descendants(stats.supervisor, [&rows](const detail::FoundProcess& process) {
    const auto kind = process.kind;
    if (kind != ProcessKind::worker && kind != ProcessKind::other) rows.push_back(row_of(process));
  });
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.name < b.name; });
}

bool is_listed(const RunningPipeline& pipeline) {
  const std::vector<RunningPipeline> now = Observer::running();
  return std::any_of(now.begin(), now.end(),
                     [&pipeline](const RunningPipeline& each) { return each.socket == pipeline.socket; });
}

// Nothing of one that comes to its end meanwhile: it hangs up before its socket is gone. One that does not answer costs
// what a single look waits for it.
std::optional<Snapshot> snapshot_of(const RunningPipeline& pipeline) {
  constexpr std::chrono::milliseconds kLook{20};
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{500};
  while (true) {
    try {
      return Observer::attach(pipeline.socket).snapshot();
    } catch (const Error&) {
      if (!is_listed(pipeline)) return std::nullopt;
      if (std::chrono::steady_clock::now() > until) throw;
    }
    std::this_thread::sleep_for(kLook);
  }
}

std::optional<Listed> look_at(const RunningPipeline& pipeline) {
  Listed listed;
  listed.pipeline = pipeline;
  try {
    const std::optional<Snapshot> found = snapshot_of(pipeline);
    if (!found) return std::nullopt;
    const Snapshot& snapshot = *found;
    listed.stats = snapshot.stats;
    add_helpers(snapshot.stats, listed.rows);
    listed.rows.insert(listed.rows.begin(),
                       {Row{"host", "host", snapshot.stats.host, "running", "", {}},
                        Row{"supervisor", "supervisor", snapshot.stats.supervisor, "running", "", {}}});
    for (const StageStats& stage : snapshot.stats.stages) {
      for (const WorkerStats& worker : stage.workers)
        listed.rows.push_back(row_of(worker));
    }
  } catch (const Error& error) {
    listed.error = error.what();
  }
  return listed;
}

std::string seconds_text(const std::optional<UsageStats>& usage) {
  return usage ? fmt::format("{:.1f} s", std::chrono::duration<double>(usage->cpu_time).count()) : "-";
}
std::string memory_text(const std::optional<UsageStats>& usage) {
  return usage ? fmt::format("{:.1f} MiB", static_cast<double>(usage->own_bytes) / (1 << 20)) : "-";
}

std::string table_of(const Listed& listed) {
  std::string text = printable(listed.pipeline.name);
  if (!listed.error.empty()) return text.append(": ").append(printable(listed.error)).append("\n");
  const auto up =
      std::chrono::duration_cast<std::chrono::seconds>(detail::monotonic_now() - listed.stats.started);
  text += fmt::format(": {} since {} s, Sluice {}\n", listed.stats.state, up.count(), listed.stats.version);
  text += fmt::format("  {:<20} {:>8}  {:<15} {:>9} {:>10}{}\n", "process", "pid", "state", "cpu", "memory",
                      "  place");
  for (const Row& row : listed.rows) {
    text += fmt::format("  {:<20} {:>8}  {:<15} {:>9} {:>10}{}{}\n", row.name,
                        row.pid != 0 ? std::to_string(row.pid) : "-", row.state, seconds_text(row.usage),
                        memory_text(row.usage), row.place.empty() ? "" : "  ", row.place);
  }
  return text;
}

std::string json_of(const Row& row) {
  JsonParts json;
  json.text_member("name", row.name);
  json.text_member("kind", row.kind);
  json.member("pid", row.pid != 0 ? std::to_string(row.pid) : "null");
  json.text_member("state", row.state);
  json.text_member("place", row.place);
  json.member(
      "cpu_seconds",
      row.usage ? fmt::format("{:.3f}", std::chrono::duration<double>(row.usage->cpu_time).count()) : "null");
  json.member("own_bytes", row.usage ? std::to_string(row.usage->own_bytes) : "null");
  return json.object();
}

std::string json_of(const Listed& listed) {
  JsonParts json;
  json.text_member("pipeline", listed.pipeline.name);
  json.text_member("socket", listed.pipeline.socket);
  json.member("error", listed.error.empty() ? "null" : json_text(listed.error));
  if (!listed.error.empty()) return json.object();
  json.text_member("state", listed.stats.state);
  json.text_member("version", listed.stats.version);
  JsonParts processes;
  for (const Row& row : listed.rows)
    processes.add(json_of(row));
  json.member("processes", processes.array());
  return json.object();
}

void show(bool as_json) {
  JsonParts all;
  std::string text;
  for (const RunningPipeline& pipeline : Observer::running()) {
    const std::optional<Listed> listed = look_at(pipeline);
    if (!listed) continue;
    if (as_json) {
      all.add(json_of(*listed));
    } else {
      text.append(text.empty() ? "" : "\n").append(table_of(*listed));
    }
  }
  if (as_json) return print_exactly(R"({"schema":1,"pipelines":)" + all.array() + "}\n");
  print(text.empty() ? "no pipeline of this user is running\n" : text);
}

}  // namespace

void add_ps(CLI::App& program) {
  CLI::App* ps = program.add_subcommand("ps", "The pipelines that run, and their processes");
  const auto as_json = std::make_shared<bool>(false);
  ps->add_flag("--json", *as_json, "For programs: one object");
  end_help(*ps, "It lists what this user runs whose observe.socket is auto (it is unless set).",
           {"sluice ps", "sluice ps --json | jq -r '.pipelines[].processes[] | [.pid,.name] | @tsv'",
            "pgrep -af '^sluice: market'          the same, as the system has them"});
  ps->callback([as_json] { show(*as_json); });
}

}  // namespace sluice::command
