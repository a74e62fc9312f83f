// SPDX-License-Identifier: Apache-2.0
// Measurements made up for the tests, so that every median and ratio is known.
#pragma once

#include <initializer_list>
#include <report.hpp>
#include <string>

namespace bench_test {

using namespace sluice::bench;

inline Benchmark benchmark(const std::string& name, const std::string& figure,
                           std::initializer_list<double> values) {
  Benchmark made{parse_name(name), "", {}};
  for (const double value : values)
    made.rounds.push_back({1000, {{figure, value}, {"time_ns", 1e6}}, ""});
  return made;
}

// The same figure in five rounds.
inline Benchmark steady(const std::string& name, const std::string& figure, double value) {
  return benchmark(name, figure, {value, value, value, value, value});
}

inline SuiteResult suite(const std::string& name, std::initializer_list<Benchmark> benchmarks) {
  return {name, Outcome::completed, "", 1.5, benchmarks};
}

inline Report report(std::initializer_list<SuiteResult> suites) {
  Report made;
  made.version = "0.1.0";
  made.commit = "0123456789ab";
  made.date = "2026-01-02T03:04:05Z";
  made.machine.facts = {{"cpu", "A processor"}, {"kernel", "Linux"}};
  made.machine.mitigations = {{"meltdown", "Not affected"}};
  made.machine.hwloc_xml = "<topology/>";
  made.settings = {{"profile", "balanced", "default"}};
  made.placement = "everything on unit 0\n";
  made.suites = suites;
  return made;
}

}  // namespace bench_test
