// SPDX-License-Identifier: Apache-2.0
// What a line takes from unit to unit: measured on this machine, and kept for later plans.
//
// Two threads hand a cache line to and fro, bound to each pair of units in turn; the cost is half of the quickest round
// trip. All pairs are measured again and again until the time is over, so that units which wander between caches (those
// of a virtual machine) show: then the costs are not steady, and a plan does without them.
//
// They are kept in a file of text whose name has the machine and its topology: costs of another machine, or of this one
// with other processors, are never found.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/pinning/request.hpp>
#include <sluice/pinning/topology.hpp>

namespace sluice::pinning {

struct Calibration {
  MeasuredCosts costs{};  // Not steady, and 0 for a pair that was not looked at, where there was no time for
  std::size_t fewest_looks = 0;        // `kLeastLooks` at each pair: at one of them there were so many.
  std::chrono::nanoseconds enough{0};  // What it takes to have them, as far as can be told.
};
inline constexpr std::size_t kLeastLooks = 3;

// Blocks for `limit`, and not longer than for one look more at one pair: about 50 us. Makes two threads, which are gone when
// it returns. Throws sluice::Error for fewer than two units, and when a unit cannot be had.
Calibration measure_costs(const CpuSet& units, std::chrono::nanoseconds limit);

// From the same pair measured several times: the middle one, and whether they agree; fewer than kLeastLooks never do. Pure.
struct PairCost {
  double nanoseconds = 0;
  bool steady = true;
};
PairCost pair_cost(std::vector<double> measured);

// What names the machine and its topology. Reads /etc/machine-id and /proc/cpuinfo below `root`.
std::string calibration_key(const Topology& topology, const std::filesystem::path& root = "/");

std::string to_file(const MeasuredCosts& costs, std::string_view key);
// Nothing for a text that is not one of to_file() with that key. Pure.
std::optional<MeasuredCosts> from_file(std::string_view text, std::string_view key);

// Where costs are looked for, the first that is there first: $XDG_CACHE_HOME/sluice or ~/.cache/sluice, then
// /var/cache/sluice, which root writes for all.
std::vector<std::filesystem::path> calibration_files(std::string_view key);
// Empty if none are kept. A file that another user, who is not root, has written or may write is passed over, and one that is
// damaged; that is said in `passed_over`.
MeasuredCosts kept_costs(const Topology& topology);
// Writes them where this user may; the file. Throws sluice::Error.
std::filesystem::path keep_costs(const MeasuredCosts& costs, const Topology& topology);

}  // namespace sluice::pinning
