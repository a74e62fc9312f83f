// SPDX-License-Identifier: Apache-2.0
// End: how a pipeline has come to its end. LeftBehind: what was in its lanes then. Plain values.
#pragma once

#include <cstdint>

namespace sluice {

enum class End {
  none,      // It has not.
  finished,  // Its sources and inlets came to their end, and everything is handled.
  drained,   // The same, and it was asked to: sources may have had more.
  parked,    // All workers stand at a commit, and the next start goes on there.
  stopped,   // It was ended at once.
  failed,    // It could not go on, or its end could not be kept: Engine::wait() says why.
};

// Events that were on their way between two processes: accepted, published or made, and not handled or pulled.
// A lane with records that cannot be read counts as far as they can.
struct LeftBehind {
  std::uint64_t events = 0;
  std::uint64_t bytes = 0;
};

}  // namespace sluice
