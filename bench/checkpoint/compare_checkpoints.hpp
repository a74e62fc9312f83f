// SPDX-License-Identifier: Apache-2.0
// The benchmarks `checkpoint/...` of the suite `recovery`.
#pragma once

#include "suite.hpp"

namespace sluice::bench {

void add_checkpoints(const Options& options);

}  // namespace sluice::bench
