// SPDX-License-Identifier: Apache-2.0
// Whether a region can be taken over as its last process left it: what a stray store may have done to its
// cursors is found before the worker or a neighbour acts on them.
//
// Used by a worker, after recovery and before its first event. The neighbours may be at work meanwhile.
#pragma once

#include <cstddef>
#include <string>

#include "layout/wiring.hpp"

namespace sluice::detail {

// What is wrong with the region of worker `process`; empty when nothing is found. Plain bytes of state and of
// events only their handler can judge.
std::string fault_of_region(const Wiring& wiring, WorkerIndex worker);

}  // namespace sluice::detail
