// SPDX-License-Identifier: Apache-2.0
// The statistics of pipelines in the text format of Prometheus, version 0.0.4. Pure.
//
// The series are the same as long as a pipeline has the same workers: no pid and no incarnation is a label, and a worker
// that has no process has its series all the same. docs/guide/observe.md says what they mean.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <sluice/stats.hpp>

namespace sluice::command {

// One pipeline at one moment.
struct Exposed {
  std::string name;  // The label: no two have the same.
  Stats stats;
  Stats before;           // Some seconds ago; empty if it was not looked at.
  double start_time = 0;  // Seconds since 1970.
  // By somebody, as far as it can be seen.
  bool master_stopped = false;
  // Anonymous memory of each worker's process, in the order of the stats; absent where there is none.
  std::vector<std::optional<std::uint64_t>> memory;
};

inline constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";
// `down`: names of pipelines that should run and do not; of these nothing is told but that.
std::string metrics_text(const std::vector<Exposed>& pipelines, const std::set<std::string>& down = {});

// A worker that is there and has recovered, or one that has finished.
bool is_at_work(const WorkerStats& worker);
// Every stage has a worker that is at work, and the pipeline runs.
bool is_ready(const Stats& stats);

}  // namespace sluice::command
