// SPDX-License-Identifier: Apache-2.0
// The runs of `sluice chaos`: starts the program, hurts it, and judges how it ends, until the time is over.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <sluice/chaos.hpp>

namespace sluice::command {

struct ChaosPlan {
  std::chrono::nanoseconds lasting{0};
  std::chrono::nanoseconds patience{0};  // For the last run, once it is hurt no more.
  ChaosOptions chaos;
  bool endless = false;
  std::vector<std::string> program;
};

// Makes this process the one that orphans fall to, so that nothing that a run leaves behind can hide. Reports
// on stderr; standard output belongs to the program. The exit status. Throws Error if the program cannot be
// started.
int run_chaos(const ChaosPlan& plan);

}  // namespace sluice::command
