// SPDX-License-Identifier: Apache-2.0
// What `sluice config lint` finds in settings: combinations that a start refuses, that lose a promise, or that do nothing.
// Pure: what it has to know of the machine it is told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sluice/settings.hpp>

namespace sluice::command {

struct LintFinding {
  bool refused = false;  // A start ends with it; else it is a warning.
  std::string what;
  std::string remedy;
  std::string origin = {};  // Of the setting that it is about.
};

struct LintedMachine {
  bool checkpoints_in_memory = false;  // checkpoint.path lies in a file system that a power cut empties.
  bool segment_on_disk = false;
  std::optional<std::uint64_t> lockable_bytes;  // Nothing: any number.
};

// Of the paths that the settings name.
LintedMachine machine_for(const Settings& settings);

// What a start refuses comes first.
std::vector<LintFinding> lint_findings(const Settings& settings, const LintedMachine& machine);

}  // namespace sluice::command
