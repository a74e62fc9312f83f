// SPDX-License-Identifier: Apache-2.0
// Heavier events, about a microsecond each, by the threads of one wide worker, by as many workers, and by a plain
// tbb::parallel_for: on 1 to as many units as this machine has.
#pragma once

#include <cstdint>
#include <vector>

#include "fan_out/fan_out.hpp"

namespace sluice::bench {

// Named SUBJECT/units:N. Those of oneTBB alone, without a pipeline, are `peer:`.
std::vector<FanOut> wide_ways(bool peers);
// What the checksums of so many events add up to there.
std::uint64_t expected_wide_sum(std::uint64_t events) noexcept;

}  // namespace sluice::bench
