// SPDX-License-Identifier: Apache-2.0
// What every suite program has in common: its options, how its benchmarks are named and repeated, and what
// else ran on the machine meanwhile.
//
// A benchmark is named GROUP/SUBJECT/PARAMETERS. What has the same group and the same parameters is compared:
// the subject is ours when it is a plain word, `limit:NAME` for what the machine can do at all,
// `baseline:NAME` for the plain way without what we promise, `peer:NAME` for somebody else's product.
// Parameters are written with their units: one_way/peer:boost_spsc/64B/single. The figure that counts is the
// counter p50_ns when there is one (less is better), else items_per_second (more is better), else the time.
#pragma once

#include <functional>
#include <string>

#include <benchmark/benchmark.h>

namespace sluice::bench {

struct Options {
  bool quick = false;  // Fewer parameters and shorter runs; as many rounds.
  bool peers = false;  // Other products too.
};

using Work = std::function<void(benchmark::State&)>;

// Adds one benchmark. Besides its own counters it gets others_percent, the share of all processing units that
// went to other programs while it ran, and steal_percent, the share that the hypervisor took; `work` may have
// given its own (disturbance.hpp). And line_trip_ns, the longer of before and after: how far apart the units
// lie.
benchmark::internal::Benchmark* add(const std::string& name, Work work);

// The main() of a suite: [--quick] [--peers] and all of Google Benchmark's options. `units` processing units,
// 0 to units - 1, must be this process's to use: with fewer it says so and returns kTooFewUnits. Rounds are
// repeated and interleaved, so that a drift of the machine meets all alike.
int run_suite(int argc, char** argv, unsigned units, void (*add_all)(const Options&));
inline constexpr int kTooFewUnits = 77;

}  // namespace sluice::bench
