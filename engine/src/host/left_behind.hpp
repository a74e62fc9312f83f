// SPDX-License-Identifier: Apache-2.0
// What a pipeline that has ended did not do: counts what is in its lanes, and says whether a drain has interrupted it.
#pragma once

#include <sluice/end.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

// Once all its processes are gone. Changes nothing.
LeftBehind left_behind(const Wiring& wiring);

// A source was drained before its own end. Changes nothing.
bool is_interrupted(const Wiring& wiring) noexcept;

}  // namespace sluice::detail
