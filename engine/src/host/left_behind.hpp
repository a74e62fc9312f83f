// SPDX-License-Identifier: Apache-2.0
// Counts what is in the lanes of a pipeline that has ended.
#pragma once

#include <sluice/end.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

// Once all its processes are gone. Changes nothing.
LeftBehind left_behind(const Wiring& wiring);

}  // namespace sluice::detail
