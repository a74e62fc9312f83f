// SPDX-License-Identifier: Apache-2.0
// Benchmarks of which a round is one run in processes of its own, with a number of events that must all arrive.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <benchmark/benchmark.h>

#include "suite.hpp"

namespace sluice::bench {

// One run of `work` a round; what it must count is `events` and `sum` (told()). Counters: items_per_second from the first
// event to the last, cpu_ns_per_item of all its processes, their start included.
void measure(benchmark::State& state, const std::function<int()>& work, std::uint64_t events,
             std::uint64_t sum);

// One run a round.
void add_once(const std::string& name, Work work);

}  // namespace sluice::bench
