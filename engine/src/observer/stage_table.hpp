// SPDX-License-Identifier: Apache-2.0
// The table of a pipeline's stages, for people. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sluice/stats.hpp>

namespace sluice::detail {

// "1.25 M/s".
std::string rate_text(double per_second);
// In three digits: "1.23 us", "4.5 min".
std::string time_text(std::chrono::nanoseconds time);
// "market: running for 0:02:00, Sluice 0.1.0"; "market: parked after 0:02:00, ..." of one that is over.
std::string life_text(const Stats& now, std::chrono::nanoseconds at);
// "cluster orders, partition 3, epoch 7, owner alpha"; empty without facts.
std::string facts_text(const std::vector<Fact>& facts);
// A heading, a line for each stage in at most 80 columns while it is well, and what went wrong. `rate_of`: events a
// second of a stage, by its place in the stats; absent where it is not known.
std::string stage_table(const Stats& now, const std::function<std::optional<double>(std::size_t)>& rate_of);

}  // namespace sluice::detail
