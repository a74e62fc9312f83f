// SPDX-License-Identifier: Apache-2.0
// What other programs, and other guests of the hypervisor, took of the machine while something was measured.
#pragma once

#include <chrono>

#include <benchmark/benchmark.h>

namespace sluice::bench {

inline constexpr const char* kOthersPercent = "others_percent";

class Disturbance {
 public:
  struct Shares {  // Of all processing units.
    double others_percent = 0;
    double steal_percent = 0;
  };

  Disturbance();
  // Since this object was made. Of this process's descendants those count as its own that were waited for.
  Shares until_now() const;

 private:
  struct MachineTime {
    double busy_s = 0;  // Of all processing units together.
    double steal_s = 0;
  };
  static MachineTime machine_time();

  std::chrono::steady_clock::time_point start_;
  double own_s_;
  MachineTime machine_;
};

// How long one cache line takes from unit 0 to unit 1 and back, at the moment; 0 when it cannot be told. On a
// virtual machine the hypervisor may move two units to cores that lie far apart, and does not say so.
double line_trip_ns();
inline constexpr const char* kLineTrip = "line_trip_ns";

// As counters of a benchmark.
void report(const Disturbance::Shares& shares, benchmark::State& state);

}  // namespace sluice::bench
