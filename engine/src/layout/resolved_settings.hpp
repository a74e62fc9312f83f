// SPDX-License-Identifier: Apache-2.0
// The settings that count while a pipeline runs, as typed values: looked up by their names once, before the
// first fork. Every process inherits them, and no lookup by a name can fail while the pipeline runs.
//
// What only the start needs (sizes of lanes and state, paths, placement) is looked up where it is used,
// before anything starts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <sluice/detail/full_policy.hpp>
#include <sluice/detail/graph.hpp>
#include <sluice/settings.hpp>

#include "layout/index.hpp"

namespace sluice::detail {

enum class WaitStrategy : std::uint8_t { spin, yield, sleep };

// How a process waits: the keys wait.*.
struct WaitSettings {
  WaitStrategy strategy = WaitStrategy::sleep;
  std::chrono::nanoseconds spin{0};
  std::chrono::nanoseconds yield{0};
  bool preempt = false;
};

// Of one stage or source; of an inlet or outlet, what holds for all stages.
struct StageSettings {
  FullPolicy full = FullPolicy::block;  // Of the lanes into it.
  std::uint64_t batch_events = 1;
  std::optional<std::uint64_t> table_rows;  // Nothing: as many as the handler asks for.
  WaitSettings wait;
  std::uint64_t poison_attempts = 0;  // 0: no event is ever moved out of the way.
  std::chrono::nanoseconds deadline{0};
};

enum class SpentBudgetPolicy : std::uint8_t { stop, shed };
enum class HostDeathPolicy : std::uint8_t { stop, drain };

// The keys restart.*, and poison.budget, which counts in the same window.
struct RestartSettings {
  std::size_t budget = 0;
  std::chrono::nanoseconds window{0};
  std::chrono::nanoseconds backoff{0};
  std::chrono::nanoseconds backoff_max{0};
  std::chrono::nanoseconds stable{0};
  SpentBudgetPolicy spent = SpentBudgetPolicy::stop;
  std::size_t letter_budget = 0;
};

struct PipelineSettings {
  Indexed<NodeIndex, StageSettings> nodes;
  WaitSettings host_wait;
  RestartSettings restart;
  std::chrono::nanoseconds watchdog_tick{0};
  HostDeathPolicy host_death = HostDeathPolicy::stop;
  std::string retry_path;  // Of dead letters that are to be handled once more; empty for none.
  std::uint64_t fingerprint = 0;
};

PipelineSettings resolve(const Settings& settings, const Graph& graph);

}  // namespace sluice::detail
