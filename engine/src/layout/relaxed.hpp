// SPDX-License-Identifier: Apache-2.0
// kRelaxed: for a source whose every access of a shared word is relaxed, and which says why once.
#pragma once

#include <atomic>

namespace sluice::detail {

inline constexpr std::memory_order kRelaxed = std::memory_order_relaxed;

}  // namespace sluice::detail
