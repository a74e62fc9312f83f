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
  // What the program's pipeline takes, as far as its plan knows; 0: no program was asked.
  std::uint64_t pipeline_bytes = 0;
  // What is free where segment.path is to be made; nothing where it is there already, or none is named.
  std::optional<std::uint64_t> segment_room{};
  // Why the pool has not as many huge pages as memory.huge asks for, and what would help; empty if it has.
  std::string no_huge_pages{};
  std::string huge_pages_remedy{};
};

// Of the paths that the settings name, and for a pipeline of so many bytes.
LintedMachine machine_for(const Settings& settings, std::uint64_t pipeline_bytes);

// What a start refuses comes first.
std::vector<LintFinding> lint_findings(const Settings& settings, const LintedMachine& machine);

}  // namespace sluice::command
