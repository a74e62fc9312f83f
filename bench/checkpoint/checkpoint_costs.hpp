// SPDX-License-Identifier: Apache-2.0
// What checkpoints cost the pipeline itself, for the suite `recovery`: how long all workers stand still, how many events a second it
// handles beside them, and how soon a start has everything back.
#pragma once

#include "suite.hpp"

namespace sluice::bench {

void add_checkpoint_costs(const Options& options);

}  // namespace sluice::bench
