// SPDX-License-Identifier: Apache-2.0
// Pages and lines: the units in which memory is laid out.
#pragma once

#include <cstddef>

namespace sluice::detail {

// The smallest page of the machines this runs on. Layouts are computed with it, so that they are the same
// everywhere; where a mapping needs the kernel's own page size, ipc asks for it.
inline constexpr std::size_t kPageBytes = 4096;
// Two cache lines: processors fetch them in pairs, so what two processes write lies this far apart.
inline constexpr std::size_t kLinePairBytes = 128;

// The first multiple of `to` that is not below `value`; `to` is not 0.
constexpr std::size_t round_up(std::size_t value, std::size_t to) noexcept {
  return (value + to - 1) / to * to;
}

}  // namespace sluice::detail
