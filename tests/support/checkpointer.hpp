// SPDX-License-Identifier: Apache-2.0
// The process that copies the segment and writes checkpoints.
#pragma once

#include <fstream>
#include <string>
#include <sys/types.h>

#include "processes.hpp"

namespace sluice::test {

// 0 while there is none.
inline pid_t checkpointer_of(const Engine& engine) {
  for (const pid_t child : children_of(engine.stats().master)) {
    std::ifstream comm{"/proc/" + std::to_string(child) + "/comm"};
    std::string name;
    if (std::getline(comm, name) && name == "sluice-checkpt") return child;
  }
  return 0;
}

}  // namespace sluice::test
