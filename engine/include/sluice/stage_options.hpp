// SPDX-License-Identifier: Apache-2.0
// StageOptions: what a program asks for one stage, behind its name.
#pragma once

#include <cstdint>

namespace sluice {

// What the program asks for a stage. A setting of the environment, the API or the command line overrides it.
struct StageOptions {
  unsigned workers = 1;
  std::uint64_t state_bytes = 0;  // Recoverable state of one worker; 0: as the setting state.bytes says.
  std::uint64_t undo_bytes = 0;   // Of the undo log of one worker; 0: as the setting undo.bytes says.
  std::uint64_t lane_bytes = 0;   // Of a lane of records into the stage; 0: as the setting lane.bytes says.
};

}  // namespace sluice
