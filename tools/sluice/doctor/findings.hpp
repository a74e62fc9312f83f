// SPDX-License-Identifier: Apache-2.0
// What `sluice doctor` finds: pure functions from texts of /proc and /sys to findings.
//
// Rates come from two readings, one after the other. A file that is missing or makes no sense leads to a finding of
// level `unknown` at most, never to an error: machines and containers differ.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/pinning/cpu_set.hpp>

namespace sluice::command {

enum class Level { fine, note, warning, unknown };

std::string_view name_of(Level level);

struct Finding {
  std::string area{};  // "interrupts"
  Level level = Level::fine;
  std::string found{};                  // What is so.
  std::string why{};                    // What it does to a pipeline; empty if it is fine.
  std::vector<std::string> commands{};  // That would help; run by the reader, never by this program.
};

// Files by their path; those that are not there are missing.
using Texts = std::map<std::string, std::string>;

struct Machine {
  pinning::CpuSet units{};  // Those that the pipeline would run on.
  Texts before{};
  Texts after{};
  std::chrono::duration<double> between{1};
};

// All of them, in the order in which people read them.
std::vector<Finding> audit(const Machine& machine);

// Which files audit() looks at, for units of this machine; `list` gives the names in a directory.
std::vector<std::string> paths_for(const pinning::CpuSet& units,
                                   const std::function<std::vector<std::string>(const std::string&)>& list);

// For people: at most 80 columns.
std::string to_text(const std::vector<Finding>& findings);
std::string to_json(const std::vector<Finding>& findings);

// The parts, for their tests.

// Events a second on `units`, by their name in the first column, and what stands behind the columns of numbers.
struct Rate {
  std::string name{};
  std::string what{};
  double per_second = 0;
};
// Of /proc/interrupts and /proc/softirqs: a head with the units, then a line of counts for each kind.
std::vector<Rate> rates(std::string_view before, std::string_view after, const pinning::CpuSet& units,
                        double seconds);
// Of /proc/stat: the share of time that the hypervisor gave to others, 0 to 1; nothing if it is not told.
std::optional<double> steal(std::string_view before, std::string_view after, const pinning::CpuSet& units);
// A mask of words in hexadecimal digits, as in rps_cpus: "00000000,0000000f". Nothing for another text.
std::optional<pinning::CpuSet> parse_hex_mask(std::string_view text);
// The choice in brackets: "always [madvise] never"; empty if there is none.
std::string_view chosen(std::string_view text);
// The soft limit in a line of /proc/self/limits; "unlimited" is the largest number.
std::optional<unsigned long long> soft_limit(std::string_view limits, std::string_view name);
// 6.1 of "6.1.0-18-amd64" is 601: major times 100 and minor.
std::optional<int> kernel_version(std::string_view release);

}  // namespace sluice::command
