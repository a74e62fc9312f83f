// SPDX-License-Identifier: Apache-2.0
// The verdict on a worker, as the watchdog leaves it in the workers' register for every process to read.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::detail {

enum class Verdict : std::uint32_t {
  idle,
  back_pressured,
  busy,
  stalled,
  starved,
  stopped,
  unkillable,
  dead,
  voided,
  shed,      // The master's: it is not replaced any more.
  outside,   // Waits until the outside is there again, or in a call that said how long it may take.
  standing,  // Stands still at a commit, for a checkpoint or a park.
};
std::string_view name_of(Verdict verdict) noexcept;

}  // namespace sluice::detail
