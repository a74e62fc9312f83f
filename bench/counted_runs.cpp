// SPDX-License-Identifier: Apache-2.0
#include "counted_runs.hpp"

#include <utility>

#include "child_run.hpp"

namespace sluice::bench {

void measure(benchmark::State& state, const std::function<int()>& work, std::uint64_t events,
             std::uint64_t sum) {
  for ([[maybe_unused]] auto _ : state) {
    const ChildRun run = run_child(work);
    if (!run.problem.empty()) return state.SkipWithError(run.problem.c_str());
    if (told().events.load() != events || told().sum.load() != sum) {
      return state.SkipWithError("not every event was gathered once: their number or checksum is wrong");
    }
    state.counters["items_per_second"] = static_cast<double>(events) / told().seconds();
    state.counters["cpu_ns_per_item"] = run.cpu_s * 1e9 / static_cast<double>(events);
  }
}

void add_once(const std::string& name, Work work) {
  benchmark::internal::Benchmark* added = add(name, std::move(work));
  if (added != nullptr) added->Iterations(1)->Unit(benchmark::kMillisecond);
}

}  // namespace sluice::bench
