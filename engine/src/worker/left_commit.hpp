// SPDX-License-Identifier: Apache-2.0
// What a dead worker has left half-way, done for one that gets no replacement.
#pragma once

#include "layout/wiring.hpp"

namespace sluice::detail {

// By a process that owns the worker's region for it. Finishes the commit that had happened, which others may not have seen yet, and undoes
// the batch that had not. False: the region does not hold what workers write.
bool finish_left_commit(const Wiring& wiring, WorkerIndex worker) noexcept;

}  // namespace sluice::detail
