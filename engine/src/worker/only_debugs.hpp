// SPDX-License-Identifier: Apache-2.0
// The variables by which `sluice dead debug` has a program handle one dead letter, and start no pipeline: host/debug_letter.hpp.
#pragma once

#include <cstdlib>

namespace sluice::detail {

// Do not begin as the variables of settings do: they are none.
inline constexpr const char* kDebugFileVariable = "_SLUICE_DEBUG_LETTER";
inline constexpr const char* kDebugOffsetVariable = "_SLUICE_DEBUG_OFFSET";

// Then nothing that a handler keeps outside is to be changed.
inline bool only_debugs() noexcept {
  return std::getenv(kDebugFileVariable) != nullptr;
}

}  // namespace sluice::detail
