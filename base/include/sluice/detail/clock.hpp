// SPDX-License-Identifier: Apache-2.0
// The one clock of a pipeline: CLOCK_MONOTONIC, which all processes of a machine share; and how a time of day is written.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice::detail {

// Since the machine started. Any process and thread; does not block.
std::chrono::nanoseconds monotonic_now() noexcept;
// The same as of the last tick of the kernel, 1 to 10 ms ago, at a fraction of the cost.
std::chrono::nanoseconds coarse_now() noexcept;

// Whether a word that another process writes can be a time of this clock: it may be anything.
constexpr bool was_before(std::int64_t then_ns, std::chrono::nanoseconds now) noexcept {
  return then_ns > 0 && then_ns <= now.count();
}

// How long ago that was; no time at all where it cannot be.
constexpr std::chrono::nanoseconds time_since(std::int64_t then_ns, std::chrono::nanoseconds now) noexcept {
  return was_before(then_ns, now) ? now - std::chrono::nanoseconds{then_ns} : std::chrono::nanoseconds{0};
}

// "2026-11-26T22:50:01.414108Z": UTC, to the microsecond.
std::string utc_text(std::chrono::system_clock::time_point time);

}  // namespace sluice::detail
