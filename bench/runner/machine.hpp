// SPDX-License-Identifier: Apache-2.0
// What a run must tell about the machine, so that its figures can be judged elsewhere and later.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report.hpp"

namespace sluice::bench {

// Reads /proc, /sys, the processor and hwloc. What cannot be found out is said to be unknown.
Machine describe_machine();

// The processing units that this process may use, and what the pinning floor would do with them.
std::string describe_placement();

// The settings as a suite finds them that sets none itself. Throws Error for a bad SLUICE_* variable.
std::vector<SettingValue> describe_settings();

// The version and the commit that this was built from.
std::string built_version();
std::string built_commit();

// How many processing units this process may use.
std::size_t usable_units();

}  // namespace sluice::bench
