// SPDX-License-Identifier: Apache-2.0
// Reads what a suite program, a program of Google Benchmark, wrote by --benchmark_out. Pure.
#pragma once

#include <string>
#include <vector>

#include "results.hpp"

namespace sluice::bench {

struct SuiteOutput {
  std::vector<Benchmark> benchmarks;
  bool whole =
      false;  // False if the text is cut off, as a program leaves it that died: what is there is kept.
};

SuiteOutput read_suite_output(const std::string& written);

// What a program has to say for itself: its standard error without Google Benchmark's account of the machine.
std::string own_words(const std::string& standard_error);

}  // namespace sluice::bench
