// SPDX-License-Identifier: Apache-2.0
// StageOptions: what a program asks for one stage, behind its name.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

// StageOptions::workers: as many workers as cores are left, at least one: {.workers = sluice::cores}.
//
// The cores that this process may use (affinity mask, cpuset, CPU quota, placement.reserve, claims of other
// pipelines), less those of the stages that have a number and of a host that pushes or pulls, are shared out evenly to
// the stages that ask so, when the Engine is made. A named segment keeps the number that it was made with.
inline constexpr unsigned cores = static_cast<unsigned>(-1);

// What the program asks for a stage. A setting of the environment, the API or the command line overrides it.
struct StageOptions {
  unsigned workers = 1;
  // Of each worker, for a handler that is named as Wide<Handler> (wide.hpp): its place has as many processing units, under one
  // cache or node where there is room. Any other handler runs in one thread, and more is an Error of the Engine.
  unsigned threads = 1;
  std::uint64_t state_bytes = 0;  // Recoverable state of one worker; 0: as the setting state.bytes says.
  std::uint64_t undo_bytes = 0;   // Of the undo log of one worker; 0: as the setting undo.bytes says.
  std::uint64_t lane_bytes = 0;   // Of a lane of records into the stage; 0: as the setting lane.bytes says.
  // Descriptors of the host that the stage's workers have, too: sockets, pipes, files that are open at start(). All
  // others but the three standard ones are closed in every process of the pipeline, also those that a library keeps for
  // itself: open a log, a device or a connection in the handler's constructor instead.
  std::vector<int> descriptors = {};
  // Its events come from where somebody may attack: a handler that crashes too often within crash.window ends the pipeline
  // (crash.budget), workers begin at places of their own in stacks that are up to an eighth smaller, and see executed_worker.hpp.
  bool hostile_input = false;
};

}  // namespace sluice
